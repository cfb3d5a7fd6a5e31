//! Compares the database with what Kafka remembers.

use std::time::Duration;

use broker::maintenance::{Outcome, Partition, Record, explain_older_database, stored_positions};
use envelope::Topic;

use super::fork;
use super::source::{HistoryError, HistorySource, Log};
use crate::apply;
use crate::logs::LogReader;
use crate::scan::Start;

/// The number of last records of each partition that are compared with the database.
const LAST: i64 = 8;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A difference between the database and Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HistoryFinding {
    /// The database is older than what was published, and the service must not run; with the evidence and the command that
    /// repairs it.
    Older(String),
    /// The group has read more than the database has applied, and no published event is missing. The service reads the same
    /// records again, which changes nothing.
    ReadMore(String),
}

/// Compares the database with what Kafka remembers; `None`: the database has all of it.
pub(super) async fn check_history(source: &HistorySource) -> Result<Option<HistoryFinding>, HistoryError> {
    let older = match source.outbox.lineage_changed().await? {
        Some(finding) => Some(finding),
        None => unknown_event(source).await?,
    };
    if let Some(finding) = older {
        return Ok(Some(HistoryFinding::Older(explain_older_database(&source.settings, &finding, ""))));
    }
    fallen_position(source).await
}

/// Returns a description of an event that the service has published and the database does not have.
async fn unknown_event(source: &HistorySource) -> Result<Option<String>, HistoryError> {
    let lineage = source.outbox.lineage().await?;
    for own in &source.own {
        // The log is read first: its records were committed before.
        let mut records: Vec<Record> = Vec::new();
        let mut log = Log::open(&source.settings, own.topic(), Start::Last(LAST), Some(lineage)).await?;
        while let Some(read) = log.next().await? {
            records.extend(read);
        }
        let mut tx = source.outbox.begin().await?;
        let forked = fork::find(&mut tx, own.topic(), &records).await?;
        let outcomes = apply::forward(&mut tx, own, &mut records).await?;
        drop(tx);
        let unknown = || outcomes.iter().position(|outcome| *outcome == Outcome::Applied);
        if let Some(index) = forked.or_else(unknown) {
            return Ok(Some(describe(&records[index], own.topic())));
        }
    }
    Ok(None)
}

fn describe(record: &Record, topic: Topic) -> String {
    let Record { partition, offset, .. } = record;
    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
    let number = record.header_text(envelope::names::SEQUENCE).unwrap_or_default().trim_start_matches('0');
    let event_type = record.ce_type().unwrap_or("an event");
    let (name, key_name) = (topic.name, topic.key);
    format!(
        "{name}/{partition} has at offset {offset} {event_type}, event {number} of {key_name} {key}, which the database \
         does not know"
    )
}

/// Looks for a position that is lower than Kafka's committed offset, which is only ever written after the position. A
/// database without any position in a group that has read replaces another database.
async fn fallen_position(source: &HistorySource) -> Result<Option<HistoryFinding>, HistoryError> {
    let reader = LogReader::new(&source.settings, TIMEOUT)?;
    let committed = reader.committed(&source.followed).await?;
    let partitions: Vec<Partition> = committed.keys().cloned().collect();
    let stored = stored_positions(source.outbox.pool(), &partitions).await?;
    let fallen = committed.into_iter().find(|(partition, committed)| {
        stored.get(partition).is_none_or(|stored| stored.highest < *committed)
    });
    let Some((partition, committed)) = fallen else { return Ok(None) };
    let position = stored.get(&partition).map_or(0, |stored| stored.highest.max(0));
    let (topic, number) = partition;
    let finding =
        format!("{topic}/{number} was read up to offset {committed}, and the database says {position}");
    if stored.is_empty() {
        // Its key is new too, so it recognises none of the events that the other database has published.
        let explained = explain_older_database(&source.settings, &finding, " --unverified");
        return Ok(Some(HistoryFinding::Older(explained)));
    }
    let (service, program) = (&source.settings.service, &source.settings.program);
    Ok(Some(HistoryFinding::ReadMore(format!(
        "{finding}. Either somebody has set the committed offsets of {service}'s group, which {service} does not use, or its \
         database is an older copy. It reads again what it had read. The database has the last events that {service} has \
         published; if it is an older copy, show what else is missing: {program} restored --dry-run"
    ))))
}
