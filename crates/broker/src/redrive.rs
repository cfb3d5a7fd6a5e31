//! Handles a service's dead letters again, once what killed them is repaired.
//!
//! Each letter goes through the same fold, the sequence guard off on topics with cleanup by deletion (it is older than
//! what was applied since, on purpose), and is noted as done in the same transaction. What fails again stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;
use crate::fold::{Batch, Guard, Outcome, Subscription};
use crate::kafka::{self, Quiet, Reader};
use crate::logs;
use crate::record::Record;
use crate::settings::Settings;
use crate::tx::Outbox;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Which dead letters to handle; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this key.
    pub key: Option<String>,
    /// That died at or after this moment.
    pub since: Option<OffsetDateTime>,
}

/// What came of one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It would be tried (a dry run).
    Found,
    /// Applied now.
    Applied,
    /// Its effect was there already, or its type is not known here: nothing to do.
    Nothing,
    /// It failed again, and stays.
    StillDead(String),
    /// The record was personal and its value is not kept: its owner's `republish` brings the state again.
    NoValue,
}

/// A dead letter and what came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the record came from: topic without prefix, partition, offset.
    pub origin: (String, i32, i64),
    /// Its type, where it has one.
    pub event_type: Option<String>,
    /// Why it died.
    pub cause: String,
    /// What came of it.
    pub result: Redriven,
}

/// Why a redrive cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// Where the dead letters should be.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {service} migrate")]
    NoTopic {
        /// Its full name.
        topic: String,
        /// Who can create it.
        service: String,
    },
    /// The database cannot do what a fold needs.
    #[error("stopped at {origin}: {failure}")]
    World {
        /// The letter that was being handled.
        origin: String,
        /// Why.
        failure: Failure,
    },
}

/// A dead letter as found on `dlq.SERVICE`.
struct Letter {
    record: Record,
    cause: String,
    died_at: OffsetDateTime,
    has_value: bool,
}

/// Handles those dead letters that match and are not done yet, and tells of each. With `dry_run` nothing is changed.
pub async fn redrive(
    settings: &Settings,
    outbox: &Outbox,
    subscriptions: &[Subscription],
    wanted: &Letters,
    dry_run: bool,
    mut tell: impl FnMut(Report),
) -> Result<(), RedriveError> {
    let (asked, wanted, open) = (settings.clone(), wanted.clone(), open(outbox).await?);
    let matches = move |letter: &Letter| open.contains(&letter.record.place()) && wanted.include(letter);
    let letters = kafka::blocking(move || read(&asked, matches)).await.ok_or(KafkaError::Canceled)??;
    for letter in letters {
        let subscription =
            subscriptions.iter().find(|subscription| subscription.topic().name == letter.record.topic);
        let Some(subscription) = subscription else {
            continue;
        };
        let Record { topic, partition, offset, .. } = &letter.record;
        let result = handle(outbox, subscription, &letter, dry_run).await;
        let result = result.map_err(|failure| RedriveError::World {
            origin: format!("{topic}/{partition}@{offset}"),
            failure,
        })?;
        let Some(result) = result else { continue };
        tell(Report {
            origin: (topic.clone(), *partition, *offset),
            event_type: letter.record.ce_type().map(str::to_owned),
            cause: letter.cause,
            result,
        });
    }
    Ok(())
}

/// Where the records came from that are dead still.
async fn open(outbox: &Outbox) -> Result<BTreeSet<(String, i32, i64)>, RedriveError> {
    let rows = sqlx::query!(
        "SELECT topic, partition, log_offset FROM broker.dead_letters WHERE redriven_at IS NULL"
    );
    let rows = rows.fetch_all(outbox.pool()).await?;
    Ok(rows.into_iter().map(|row| (row.topic, row.partition, row.log_offset)).collect())
}

/// `None`: it was done meanwhile.
async fn handle(
    outbox: &Outbox,
    subscription: &Subscription,
    letter: &Letter,
    dry_run: bool,
) -> Result<Option<Redriven>, Failure> {
    let record = &letter.record;
    let mut tx = outbox.begin().await?;
    let open = sqlx::query_scalar!(
        r#"SELECT true AS "open!" FROM broker.dead_letters
           WHERE topic = $1 AND partition = $2 AND log_offset = $3 AND redriven_at IS NULL FOR UPDATE"#,
        record.topic,
        record.partition,
        record.offset
    )
    .fetch_optional(&mut *tx)
    .await?;
    if open.is_none() {
        return Ok(None);
    }
    if !letter.has_value {
        return Ok(Some(Redriven::NoValue));
    }
    if dry_run {
        return Ok(Some(Redriven::Found));
    }
    let batch =
        Batch { records: std::slice::from_ref(record), condemned: &BTreeMap::new(), guard: Guard::Off };
    let handled = match subscription.handle(&mut tx, batch).await {
        Ok(handled) => handled,
        Err(Failure::Record { cause, .. } | Failure::SomeRecord(cause)) => {
            return Ok(Some(Redriven::StillDead(cause)));
        }
        Err(failure) => return Err(failure),
    };
    let result = match handled.outcomes.first() {
        Some(Outcome::Applied) => Redriven::Applied,
        Some(Outcome::Dead) => {
            return Ok(Some(Redriven::StillDead(handled.causes.into_values().next().unwrap_or_default())));
        }
        Some(Outcome::Repeated | Outcome::Skipped) | None => Redriven::Nothing,
    };
    sqlx::query!(
        "UPDATE broker.dead_letters SET redriven_at = now() WHERE topic = $1 AND partition = $2 AND log_offset = $3",
        record.topic,
        record.partition,
        record.offset
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(result))
}

impl Letters {
    fn include(&self, letter: &Letter) -> bool {
        let record = &letter.record;
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        self.topic.as_deref().is_none_or(|topic| topic == record.topic)
            && self.event_type.as_deref().is_none_or(|wanted| record.ce_type() == Some(wanted))
            && self.key.as_deref().is_none_or(|wanted| key == Some(wanted))
            && self.since.is_none_or(|since| letter.died_at >= since)
    }
}

/// Those of `dlq.SERVICE` that match, up to the end it has now, in the order in which their records were read once.
fn read(settings: &Settings, matches: impl Fn(&Letter) -> bool) -> Result<Vec<Letter>, RedriveError> {
    let topic = settings.dead_letter_topic();
    let mut client = kafka::client(settings);
    client.set("group.id", settings.group()).set("enable.auto.commit", "false");
    let reader: Reader = client.create_with_context(Quiet)?;
    let Some(mut unread) = logs::of_topic(&reader, settings, &topic, TIMEOUT)? else {
        let (topic, service) = (settings.topic_name(&topic), settings.service.clone());
        return Err(RedriveError::NoTopic { topic, service });
    };
    unread.retain(|_, log| !log.is_empty());
    let mut list = TopicPartitionList::new();
    for ((topic, number), log) in &unread {
        list.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(log.start))?;
    }
    reader.assign(&list)?;
    let mut letters = Vec::new();
    while !unread.is_empty() {
        let message = reader.poll(TIMEOUT).unwrap_or(Err(KafkaError::Canceled))?;
        let partition = (topic.clone(), message.partition());
        letters.extend(Letter::open(&Record::copy(&message, &topic)).filter(&matches));
        if unread.get(&partition).is_some_and(|log| message.offset() + 1 >= log.end) {
            unread.remove(&partition);
        }
    }
    letters.sort_by_key(|letter: &Letter| letter.record.place());
    Ok(letters)
}

impl Letter {
    /// The record that died; `None` when this is no dead letter of ours.
    fn open(letter: &Record) -> Option<Self> {
        let text = |name| letter.header(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let headers = letter.headers.as_ref()?.iter().filter(|header| !header.0.starts_with("dlq_"));
        Some(Self {
            cause: text("dlq_cause")?.to_owned(),
            died_at: OffsetDateTime::parse(text("dlq_time")?, &Rfc3339).ok()?,
            has_value: text("dlq_value_sha256").is_none(),
            record: Record {
                topic: text("dlq_topic")?.to_owned(),
                partition: text("dlq_partition")?.parse().ok()?,
                offset: text("dlq_offset")?.parse().ok()?,
                key: letter.key.clone(),
                value: letter.value.clone(),
                headers: Some(headers.cloned().collect()),
            },
        })
    }
}
