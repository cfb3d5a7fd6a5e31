//! Finds the dead letters of a service: the database knows which ones are not done yet, and `dlq.SERVICE` has the records.

use std::collections::BTreeMap;

use broker::maintenance::{DeadLetter, Record, Timestamp};
use broker::{Outbox, Settings};
use time::OffsetDateTime;

use crate::error::OpsError;
use crate::scan::{Scan, Start};

/// Selects dead letters; a criterion that is `None` selects all.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// The topic.
    pub topic: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// The earliest time of the failure.
    pub since: Option<OffsetDateTime>,
}

/// A dead letter that is not done, with as much of its record as is kept.
pub(super) struct OpenLetter {
    pub(super) record: Record,
    /// Distinguishes the record from others at the same place; empty when an older version wrote the letter.
    pub(super) identity: Vec<u8>,
    pub(super) cause: String,
    died_at: OffsetDateTime,
    pub(super) kept: Kept,
}

/// The part of a record that `dlq.SERVICE` has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    Whole,
    /// Only a hash of the value.
    Hash,
    Nothing,
}

/// Topic, partition, offset and identity.
type Place = (String, i32, i64, Vec<u8>);

/// Returns the matching dead letters that are not done, in the order of their places.
pub(super) async fn find(
    settings: &Settings,
    outbox: &Outbox,
    wanted: &DeadLetterFilter,
) -> Result<Vec<OpenLetter>, OpsError> {
    let mut open = open(outbox).await?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let topic = settings.dead_letter_topic();
    let Some(mut scan) = Scan::open(settings, &topic, Start::Beginning).await? else {
        return Err(OpsError::no_topic(settings, &topic));
    };
    let mut letters = Vec::new();
    while let Some(records) = scan.next().await? {
        let found = records.iter().filter_map(DeadLetter::read).map(OpenLetter::from);
        let found = found.filter(|letter| open.remove(&letter.place()).is_some());
        letters.extend(found.filter(|letter| wanted.includes(letter)));
    }
    letters.extend(open.into_values().filter(|letter| wanted.includes(letter)));
    letters.sort_by_key(OpenLetter::place);
    Ok(letters)
}

/// Returns the letters that are not done, as the database knows them: without the contents of the records.
async fn open(outbox: &Outbox) -> Result<BTreeMap<Place, OpenLetter>, OpsError> {
    let rows = sqlx::query!(
        "SELECT topic, partition, log_offset, record, cause, died_at FROM broker.dead_letters
         WHERE redriven_at IS NULL"
    );
    let rows = rows.fetch_all(outbox.pool()).await?.into_iter().map(|row| {
        let (topic, partition, offset) = (row.topic, row.partition, row.log_offset);
        let timestamp = Timestamp::Unknown;
        let record = Record { topic, partition, offset, timestamp, key: None, value: None, headers: None };
        let (cause, died_at, identity) = (row.cause, row.died_at, row.record);
        let letter = OpenLetter { record, identity, cause, died_at, kept: Kept::Nothing };
        (letter.place(), letter)
    });
    Ok(rows.collect())
}

impl DeadLetterFilter {
    fn includes(&self, letter: &OpenLetter) -> bool {
        let record = &letter.record;
        self.topic.as_deref().is_none_or(|topic| topic == record.topic)
            && self.event_type.as_deref().is_none_or(|wanted| record.ce_type() == Some(wanted))
            && self.key.as_deref().is_none_or(|wanted| record.key_text() == Some(wanted))
            && self.since.is_none_or(|since| letter.died_at >= since)
    }
}

impl OpenLetter {
    fn place(&self) -> Place {
        let Record { topic, partition, offset, .. } = &self.record;
        (topic.clone(), *partition, *offset, self.identity.clone())
    }
}

impl From<DeadLetter> for OpenLetter {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { record, identity, cause, died_at, is_whole } = letter;
        Self { record, identity, cause, died_at, kept: if is_whole { Kept::Whole } else { Kept::Hash } }
    }
}
