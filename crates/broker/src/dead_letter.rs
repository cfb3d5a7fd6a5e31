//! Dead letters: a record that can never be applied goes to `dlq.SERVICE` as it came, with where, why and when.
//!
//! Once per record, even after a rewind; through the outbox, in the transaction that moves on. A record is told by its
//! place and its [`Identity`]: a topic that is made anew has other records at the same offsets.

use std::collections::BTreeSet;

use envelope::Topic;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::outbox::{HeaderValue, Row};
use crate::record::{Identity, Record};
use crate::settings::Settings;
use crate::topics::MAX_RECORD_BYTES;
use crate::tx::Tx;

/// The most of a cause that is kept, in characters; and of a key whose record is not, in bytes.
const LONGEST_CAUSE: usize = 1000;

/// Where records stood, and what tells each from another one at the same place; as Postgres takes them.
#[derive(Default)]
struct Places {
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    records: Vec<Vec<u8>>,
    appended: Vec<Option<OffsetDateTime>>,
}

impl Places {
    fn of<'a>(records: impl Iterator<Item = &'a Record>, full_name: &str) -> Self {
        let mut places = Self::default();
        for record in records {
            places.partitions.push(record.partition);
            places.offsets.push(record.offset);
            places.records.push(Identity::of(record, full_name).bytes().to_vec());
            places.appended.push(record.appended_at());
        }
        places
    }
}

/// Notes `dead` records with their causes, appends those to the outbox that were not dead before, and returns their
/// partitions and offsets.
pub(crate) async fn write(
    tx: &mut Tx,
    settings: &Settings,
    topic: Topic,
    dead: &[(&Record, &str)],
) -> sqlx::Result<BTreeSet<(i32, i64)>> {
    if dead.is_empty() {
        return Ok(BTreeSet::new());
    }
    let places = Places::of(dead.iter().map(|(record, _)| *record), &settings.topic_name(topic.name));
    let causes: Vec<String> = dead.iter().map(|(_, cause)| readable(cause)).collect();
    let new = insert(tx, topic, &places, &causes).await?;
    for (((record, _), identity), cause) in dead.iter().zip(&places.records).zip(causes) {
        let Record { partition, offset, .. } = **record;
        if new.contains(&(partition, offset)) {
            tracing::error!(
                topic = topic.name,
                partition,
                offset,
                event_type = record.ce_type(),
                traceparent = record.traceparent(),
                cause,
                "a record goes to the dead letters"
            );
            tx.push(letter(settings, topic, record, identity, &cause));
        }
    }
    Ok(new)
}

/// Inserts those that are not there yet, and returns their partitions and offsets.
///
/// A row without a digest is of an older version. It stands for the record that was at its place when it was written,
/// which a record that was appended later is not.
async fn insert(
    tx: &mut Tx,
    topic: Topic,
    places: &Places,
    causes: &[String],
) -> sqlx::Result<BTreeSet<(i32, i64)>> {
    let new = sqlx::query!(
        "INSERT INTO broker.dead_letters (topic, partition, log_offset, record, cause)
         SELECT $1, partition, log_offset, record, cause
         FROM unnest($2::int[], $3::bigint[], $4::bytea[], $5::timestamptz[], $6::text[])
              AS dead (partition, log_offset, record, appended_at, cause)
         WHERE NOT EXISTS (
             SELECT FROM broker.dead_letters AS older
             WHERE older.topic = $1 AND older.partition = dead.partition AND older.log_offset = dead.log_offset
               AND older.record = '' AND coalesce(dead.appended_at <= older.died_at, true)
         )
         ORDER BY partition, log_offset
         ON CONFLICT DO NOTHING
         RETURNING partition, log_offset",
        topic.name,
        &places.partitions,
        &places.offsets,
        &places.records,
        &places.appended as &[Option<OffsetDateTime>],
        causes,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(new.into_iter().map(|row| (row.partition, row.log_offset)).collect())
}

/// Notes that these records of a topic, dead letters once, were applied after all (they were read again, and what killed
/// them is repaired), so that a redrive does not apply them a second time.
pub(crate) async fn mark_redriven<'a>(
    tx: &mut Tx,
    settings: &Settings,
    topic: Topic,
    applied: impl Iterator<Item = &'a Record>,
) -> sqlx::Result<()> {
    let places = Places::of(applied, &settings.topic_name(topic.name));
    sqlx::query!(
        "UPDATE broker.dead_letters AS letter SET redriven_at = now()
         FROM unnest($2::int[], $3::bigint[], $4::bytea[], $5::timestamptz[])
              AS applied (partition, log_offset, record, appended_at)
         WHERE letter.topic = $1 AND letter.partition = applied.partition
           AND letter.log_offset = applied.log_offset AND letter.redriven_at IS NULL
           AND (letter.record = applied.record
                OR letter.record = '' AND coalesce(applied.appended_at <= letter.died_at, true))",
        topic.name,
        &places.partitions,
        &places.offsets,
        &places.records,
        &places.appended as &[Option<OffsetDateTime>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A cause that Postgres takes and a header holds.
fn readable(cause: &str) -> String {
    cause.chars().filter(|c| *c != '\0').take(LONGEST_CAUSE).collect()
}

/// The record as it came, with the story of its death in headers. It carries a hash instead of the value where the topic
/// is personal (a dead letter is kept for 30 days, whoever asks to be forgotten meanwhile), and where it is larger than
/// an event may be, which Kafka would refuse for ever (compressed, it was small enough for the topic that it came from).
fn letter(settings: &Settings, topic: Topic, record: &Record, identity: &[u8], cause: &str) -> Row {
    let whole = !topic.personal && record.bytes() <= MAX_RECORD_BYTES;
    let text = |name: &str, value: String| (name.to_owned(), HeaderValue::Text(value));
    let mut headers = record.headers.clone().filter(|_| whole).unwrap_or_default();
    headers.extend([
        text("dlq_service", settings.service.clone()),
        text("dlq_topic", record.topic.clone()),
        text("dlq_partition", record.partition.to_string()),
        text("dlq_offset", record.offset.to_string()),
        text("dlq_record", format!("{:x}", Hex(identity))),
        text("dlq_cause", cause.to_owned()),
        text("dlq_time", OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()),
    ]);
    if !whole {
        let value = record.value.as_deref().unwrap_or_default();
        headers.extend([
            text("dlq_value_sha256", format!("{:x}", Hex(&Sha256::digest(value)))),
            text("dlq_value_bytes", value.len().to_string()),
        ]);
    }
    // A key of a personal topic that is no id of ours may be anything, an address too.
    let harmless = |key: &Vec<u8>| if topic.personal { is_uuid(key) } else { key.len() < LONGEST_CAUSE };
    let key = record.key.clone().filter(|key| whole || harmless(key));
    let value = record.value.clone().filter(|_| whole);
    Row { topic: settings.dead_letter_topic(), key, value, headers }
}

fn is_uuid(key: &[u8]) -> bool {
    uuid::Uuid::try_parse_ascii(key).is_ok()
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
