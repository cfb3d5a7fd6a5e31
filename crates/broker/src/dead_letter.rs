//! Dead letters: a record that can never be applied goes to `dlq.SERVICE` unchanged, with its place, the cause and the time.
//!
//! Each record goes there once, even after a rewind, through the outbox, in the transaction that advances the position. A
//! record is identified by its place and its [`Identity`], because a topic that is created again has other records at the
//! same offsets.

mod letter;

use std::collections::BTreeSet;

use envelope::Topic;
use time::OffsetDateTime;

pub use self::letter::DeadLetter;
use crate::record::{Identity, Record};
use crate::settings::Settings;
use crate::tx::Tx;

/// The places and identities of records, a column each, as Postgres takes them.
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

/// Stores `dead` records with their causes, and appends to the outbox those that were not dead before. Returns the
/// partitions and offsets of the latter.
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
    let causes: Vec<String> = dead.iter().map(|(_, cause)| letter::storable(cause)).collect();
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
                "record moved to dead letters; after repair: {} redrive",
                settings.program
            );
            tx.push(letter::row(settings, topic, record, identity, &cause));
        }
    }
    Ok(new)
}

/// Inserts the records that are not stored yet, and returns their partitions and offsets.
///
/// A row without a digest was written by an older version. It stands for the record that was at its place when the row was
/// written, not for one that was appended later.
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

/// Marks dead letters as done whose records were read again and applied, because their cause was repaired meanwhile, so that
/// a redrive does not apply them a second time.
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
