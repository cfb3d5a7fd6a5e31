//! Compares the database with what Kafka remembers.

use std::collections::BTreeMap;
use std::time::Duration;

use envelope::Topic;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::HistoryError;
use super::log::Log;
use super::{fork, forward};
use crate::generation;
use crate::handler::{Outcome, Subscription};
use crate::kafka::{self, Quiet, Reader};
use crate::positions::{self, Partition};
use crate::record::Record;
use crate::scan::Start;
use crate::settings::Settings;
use crate::tx::Outbox;

/// How many of the last records of each partition are compared with the database.
const LAST: i64 = 8;
const TIMEOUT: Duration = Duration::from_secs(5);

/// The topics and the group that remember a service's history, and the database that should know it.
#[derive(Clone)]
pub struct HistorySource {
    /// The service's settings.
    pub settings: Settings,
    /// The service's database.
    pub outbox: Outbox,
    /// A fold of each topic that the service owns.
    pub own: Vec<Subscription>,
    /// The topics that the service follows.
    pub followed: Vec<Topic>,
}

/// A difference between the database and Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryFinding {
    /// The database is older than what was published: the service must not go on. Why, and the command that repairs it.
    Older(String),
    /// Kafka remembers more than the database has read, and nothing that was published is missing: the service reads the
    /// same records again, which changes nothing.
    ReadMore(String),
}

/// Compares the database with what Kafka remembers; `None`: the database knows all of it.
pub async fn check_history(source: &HistorySource) -> Result<Option<HistoryFinding>, HistoryError> {
    let known = match unfinished(&source.outbox).await? {
        Some(finding) => Some(finding),
        None => unknown_events(source).await?,
    };
    if let Some(finding) = known {
        return Ok(Some(HistoryFinding::Older(explain(&source.settings, &finding, ""))));
    }
    positions_fell(source).await
}

/// The finding with why it is dangerous and what helps; `options` are those of the command.
pub(crate) fn explain(settings: &Settings, finding: &str, options: &str) -> String {
    let (service, program) = (&settings.service, &settings.program);
    format!(
        "The database of {service} is older than what {service} has published or read: {finding}. It was restored from an \
         older copy, failed over to a replica that lagged, or made anew. What {service} published now would be dropped by \
         its readers, or contradict what it published before; so it publishes, reads and answers nothing. See what is \
         missing with: {program} restored --dry-run{options}; then repair it with: {program} restored{options}, and restart \
         {service}"
    )
}

/// A repair that was begun, or one that this process has not seen.
async fn unfinished(outbox: &Outbox) -> Result<Option<String>, HistoryError> {
    let expected = outbox.lineage().await?.generation;
    Ok(generation::changed(outbox.pool(), expected).await?)
}

/// An event of the service's own that the database does not know.
async fn unknown_events(source: &HistorySource) -> Result<Option<String>, HistoryError> {
    let key = source.outbox.lineage().await?.key;
    for own in &source.own {
        // The log first: what is in it was committed before.
        let mut records: Vec<Record> = Vec::new();
        let mut log = Log::open(&source.settings, own.topic(), Start::Last(LAST), Some(key)).await?;
        while let Some(open) = log.take() {
            if let Some((rest, read)) = open.next().await? {
                records.extend(read);
                log = Some(rest);
            }
        }
        let mut tx = source.outbox.begin().await?;
        let forked = fork::find(&mut tx, own.topic(), &records).await?;
        let results = forward::apply(&mut tx, own, &mut records).await?;
        drop(tx);
        let is_unknown = |(outcome, _): &(Outcome, _)| *outcome == Outcome::Applied;
        if let Some(index) = forked.or_else(|| results.iter().position(is_unknown)) {
            return Ok(Some(describe(&records[index], own.topic())));
        }
    }
    Ok(None)
}

fn describe(record: &Record, topic: Topic) -> String {
    let Record { partition, offset, .. } = record;
    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
    let number = record.header(envelope::names::SEQUENCE).unwrap_or_default();
    let number = String::from_utf8_lossy(number).trim_start_matches('0').to_owned();
    let event_type = record.ce_type().unwrap_or("an event");
    let (name, key_name) = (topic.name, topic.key);
    format!(
        "{name}/{partition} has at offset {offset} {event_type}, event {number} of {key_name} {key}, which the database does not know"
    )
}

/// Positions that are lower than Kafka's committed offsets, which are only ever written after the positions. A database
/// that has no position at all where the group has read is a new one in the place of another.
async fn positions_fell(source: &HistorySource) -> Result<Option<HistoryFinding>, HistoryError> {
    let (settings, followed) = (source.settings.clone(), source.followed.clone());
    let committed = kafka::blocking(move || committed(&settings, &followed)).await;
    let committed = committed.ok_or(KafkaError::Canceled)??;
    let partitions: Vec<Partition> = committed.keys().cloned().collect();
    let highest = positions::highest(source.outbox.pool(), &partitions).await?;
    let fell = committed
        .into_iter()
        .find(|(partition, committed)| highest.get(partition).is_none_or(|highest| highest < committed));
    let Some((partition, committed)) = fell else { return Ok(None) };
    let position = highest.get(&partition).copied().unwrap_or(positions::BEGINNING).max(0);
    let (topic, number) = partition;
    let finding =
        format!("{topic}/{number} was read up to offset {committed}, and the database says {position}");
    if highest.is_empty() {
        // Its key is new too: it recognises nothing that the other one has published.
        return Ok(Some(HistoryFinding::Older(explain(&source.settings, &finding, " --unverified"))));
    }
    let (service, program) = (&source.settings.service, &source.settings.program);
    Ok(Some(HistoryFinding::ReadMore(format!(
        "{finding}. Either somebody has set the committed offsets of {service}'s group, which it does not use, or its database \
         is an older copy. It reads again what it had read. All that it has published lately is known to the database; \
         if it is an older copy, look for what else is missing with: {program} restored --dry-run"
    ))))
}

/// Up to where the group has read, as it told Kafka.
pub(super) fn committed(
    settings: &Settings,
    topics: &[Topic],
) -> Result<BTreeMap<Partition, i64>, KafkaError> {
    let mut client = kafka::client(settings);
    client.set("group.id", settings.group()).set("enable.auto.commit", "false");
    let reader: Reader = client.create_with_context(Quiet)?;
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for number in 0..settings.partitions {
            list.add_partition(&settings.topic_name(topic.name), number);
        }
    }
    if list.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let told = reader.committed_offsets(list, TIMEOUT)?;
    let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let topic = settings.without_prefix(element.topic())?.to_owned();
        match element.offset() {
            Offset::Offset(offset) => Some(((topic, element.partition()), offset)),
            _ => None,
        }
    };
    Ok(told.elements().iter().filter_map(offset).collect())
}
