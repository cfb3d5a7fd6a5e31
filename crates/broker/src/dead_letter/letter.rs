//! The format of a dead letter on `dlq.SERVICE`: the record, and headers that describe its failure.

use envelope::Topic;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::outbox::{MAX_RECORD_BYTES, Row};
use crate::record::{HeaderValue, Record, Timestamp};
use crate::settings::Settings;

/// The longest cause that is kept, in characters; and the longest key of a record that is not kept whole, in bytes.
const LONGEST_CAUSE: usize = 1000;

/// The prefix of the headers that the consumer adds.
const PREFIX: &str = "dlq_";
const SERVICE: &str = "dlq_service";
const TOPIC: &str = "dlq_topic";
const PARTITION: &str = "dlq_partition";
const OFFSET: &str = "dlq_offset";
const IDENTITY: &str = "dlq_record";
const CAUSE: &str = "dlq_cause";
const TIME: &str = "dlq_time";
const VALUE_HASH: &str = "dlq_value_sha256";
const VALUE_BYTES: &str = "dlq_value_bytes";

/// A dead letter that was read from `dlq.SERVICE`.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The record that failed, at its original place.
    pub record: Record,
    /// Distinguishes the record from others at the same place; empty when an older version wrote the letter.
    pub identity: Vec<u8>,
    /// The reason why the record could not be applied.
    pub cause: String,
    /// The time of the failure.
    pub died_at: OffsetDateTime,
    /// Whether the letter has the whole record, not only a hash of its value.
    pub is_whole: bool,
}

impl DeadLetter {
    /// Reads a record of `dlq.SERVICE`; `None`: it is not a dead letter.
    pub fn read(letter: &Record) -> Option<Self> {
        let headers = letter.headers.as_ref()?.iter().filter(|header| !header.0.starts_with(PREFIX));
        Some(Self {
            identity: letter.header_text(IDENTITY).map_or(Some(Vec::new()), |text| hex::decode(text).ok())?,
            cause: letter.header_text(CAUSE)?.to_owned(),
            died_at: OffsetDateTime::parse(letter.header_text(TIME)?, &Rfc3339).ok()?,
            is_whole: letter.header(VALUE_HASH).is_none(),
            record: Record {
                topic: letter.header_text(TOPIC)?.to_owned(),
                partition: letter.header_text(PARTITION)?.parse().ok()?,
                offset: letter.header_text(OFFSET)?.parse().ok()?,
                timestamp: Timestamp::Unknown,
                key: letter.key.clone(),
                value: letter.value.clone(),
                headers: Some(headers.cloned().collect()),
            },
        })
    }
}

/// Returns the row that publishes `record` as a dead letter.
///
/// The letter has a hash instead of the value where the topic is personal, because dead letters are kept for 30 days
/// regardless of erasures, and where the record is larger than an event may be: Kafka would refuse it for ever, although it
/// was small enough for its topic when it was compressed.
pub(super) fn row(settings: &Settings, topic: Topic, record: &Record, identity: &[u8], cause: &str) -> Row {
    let is_whole = !topic.personal && record.bytes() <= MAX_RECORD_BYTES;
    let text = |name: &str, value: String| (name.to_owned(), HeaderValue::Text(value));
    let mut headers = record.headers.clone().filter(|_| is_whole).unwrap_or_default();
    headers.extend([
        text(SERVICE, settings.service.clone()),
        text(TOPIC, record.topic.clone()),
        text(PARTITION, record.partition.to_string()),
        text(OFFSET, record.offset.to_string()),
        text(IDENTITY, hex::encode(identity)),
        text(CAUSE, cause.to_owned()),
        text(TIME, OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()),
    ]);
    if !is_whole {
        let value = record.value.as_deref().unwrap_or_default();
        headers.extend([
            text(VALUE_HASH, hex::encode(Sha256::digest(value))),
            text(VALUE_BYTES, value.len().to_string()),
        ]);
    }
    // A key of a personal topic that is not an id may be anything, even an address.
    let is_harmless = |key: &Vec<u8>| {
        if topic.personal { Uuid::try_parse_ascii(key).is_ok() } else { key.len() < LONGEST_CAUSE }
    };
    let key = record.key.clone().filter(|key| is_whole || is_harmless(key));
    let value = record.value.clone().filter(|_| is_whole);
    Row { topic: settings.dead_letter_topic(), key, value, headers }
}

/// Returns the part of a cause that Postgres and a header accept.
pub(super) fn storable(cause: &str) -> String {
    cause.chars().filter(|c| *c != '\0').take(LONGEST_CAUSE).collect()
}
