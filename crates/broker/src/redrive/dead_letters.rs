//! The dead letters of a service: which are not done yet (its database knows), and what they hold (`dlq.SERVICE` does).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rdkafka::Timestamp;
use rdkafka::error::KafkaError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::RedriveError;
use crate::kafka;
use crate::record::Record;
use crate::scan::{self, Scanned, Start};
use crate::settings::Settings;
use crate::tx::Outbox;

/// Which dead letters to handle; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this key.
    pub key: Option<String>,
    /// That died at or after this moment.
    pub since: Option<OffsetDateTime>,
}

/// A record that died, with as much of it as there is.
pub(super) struct Letter {
    pub(super) record: Record,
    /// What tells it from another record at the same place; empty: it died under an older version, which kept none.
    pub(super) identity: Vec<u8>,
    pub(super) cause: String,
    died_at: OffsetDateTime,
    pub(super) kept: Kept,
}

/// What `dlq.SERVICE` holds of a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    Whole,
    /// Its value's hash alone.
    Hash,
    Nothing,
}

/// Topic, partition, offset and identity.
type Place = (String, i32, i64, Vec<u8>);

/// Those that match and are not done, in the order in which their records were read once.
pub(super) async fn find(
    settings: &Settings,
    outbox: &Outbox,
    wanted: &DeadLetterFilter,
) -> Result<Vec<Letter>, RedriveError> {
    let open = open(outbox).await?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let (settings, wanted) = (settings.clone(), wanted.clone());
    kafka::blocking(move || read(&settings, open, &wanted)).await.ok_or(KafkaError::Canceled)?
}

/// Those that are not done, as the database knows them: without what the records held.
async fn open(outbox: &Outbox) -> Result<BTreeMap<Place, Letter>, RedriveError> {
    let rows = sqlx::query!(
        "SELECT topic, partition, log_offset, record, cause, died_at FROM broker.dead_letters
         WHERE redriven_at IS NULL"
    );
    let rows = rows.fetch_all(outbox.pool()).await?.into_iter().map(|row| {
        let (topic, partition, offset) = (row.topic, row.partition, row.log_offset);
        let timestamp = Timestamp::NotAvailable;
        let record = Record { topic, partition, offset, timestamp, key: None, value: None, headers: None };
        let (cause, died_at, identity) = (row.cause, row.died_at, row.record);
        let letter = Letter { record, identity, cause, died_at, kept: Kept::Nothing };
        (letter.place(), letter)
    });
    Ok(rows.collect())
}

/// Reads `dlq.SERVICE` up to the end it has now for those that are `open`.
fn read(
    settings: &Settings,
    mut open: BTreeMap<Place, Letter>,
    wanted: &DeadLetterFilter,
) -> Result<Vec<Letter>, RedriveError> {
    let topic = settings.dead_letter_topic();
    let mut letters = Vec::new();
    let scanned = scan::scan(settings, &topic, Start::Beginning, |record| {
        let letter = Letter::open(&record).filter(|letter| open.remove(&letter.place()).is_some());
        letters.extend(letter.filter(|letter| wanted.include(letter)));
        ControlFlow::Continue(())
    })?;
    if scanned == Scanned::NoTopic {
        let (topic, program) = (settings.topic_name(&topic), settings.program.clone());
        return Err(RedriveError::NoTopic { topic, program });
    }
    letters.extend(open.into_values().filter(|letter| wanted.include(letter)));
    letters.sort_by_key(Letter::place);
    Ok(letters)
}

impl DeadLetterFilter {
    fn include(&self, letter: &Letter) -> bool {
        let record = &letter.record;
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        self.topic.as_deref().is_none_or(|topic| topic == record.topic)
            && self.event_type.as_deref().is_none_or(|wanted| record.ce_type() == Some(wanted))
            && self.key.as_deref().is_none_or(|wanted| key == Some(wanted))
            && self.since.is_none_or(|since| letter.died_at >= since)
    }
}

impl Letter {
    fn place(&self) -> Place {
        let Record { topic, partition, offset, .. } = &self.record;
        (topic.clone(), *partition, *offset, self.identity.clone())
    }

    /// The record that died; `None` when this is no dead letter of ours.
    fn open(letter: &Record) -> Option<Self> {
        let text = |name| letter.header(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let headers = letter.headers.as_ref()?.iter().filter(|header| !header.0.starts_with("dlq_"));
        Some(Self {
            identity: text("dlq_record").map_or(Some(Vec::new()), from_hex)?,
            cause: text("dlq_cause")?.to_owned(),
            died_at: OffsetDateTime::parse(text("dlq_time")?, &Rfc3339).ok()?,
            kept: if text("dlq_value_sha256").is_some() { Kept::Hash } else { Kept::Whole },
            record: Record {
                topic: text("dlq_topic")?.to_owned(),
                partition: text("dlq_partition")?.parse().ok()?,
                offset: text("dlq_offset")?.parse().ok()?,
                timestamp: Timestamp::NotAvailable,
                key: letter.key.clone(),
                value: letter.value.clone(),
                headers: Some(headers.cloned().collect()),
            },
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
