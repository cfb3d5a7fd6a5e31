//! Positions: the next offset to read of each partition, one row per partition, advanced in the transaction that applies
//! the records' effects.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::record::{Identity, Partition, Record};

pub(crate) type Positions = BTreeMap<Partition, Position>;

/// The offset that stands for the beginning of the log, as in Kafka's clients.
pub const BEGINNING: i64 = -2;

/// The position in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The offset of the next record.
    pub next: i64,
    /// The record at the offset before; `None` before the first record and after a rewind.
    pub last: Option<LastRecord>,
}

/// The last applied record before a position, kept to notice another record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastRecord {
    pub identity: Identity,
    /// The time of the append; `None` when the topic keeps the publishers' times.
    pub appended_at: Option<OffsetDateTime>,
}

impl Position {
    /// Returns the position at this offset, without a last record.
    #[cfg(test)]
    pub(crate) fn at(next: i64) -> Self {
        Self { next, last: None }
    }

    /// Returns the position after `record`, which was read from the topic with this full name.
    pub(crate) fn after(record: &Record, full_name: &str) -> Self {
        let last =
            LastRecord { identity: Identity::of(record, full_name), appended_at: record.appended_at() };
        Self { next: record.offset + 1, last: Some(last) }
    }
}

/// A position as the database has it.
#[derive(Debug, Clone)]
pub struct StoredPosition {
    pub(crate) position: Position,
    /// The highest offset that the position ever had, as far as the database knows.
    pub highest: i64,
}

impl StoredPosition {
    /// Returns the offset of the next record to read.
    pub fn next(&self) -> i64 {
        self.position.next
    }
}

/// The change of one position in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PositionUpdate {
    pub partition: Partition,
    /// The offset that the database must have before.
    pub expected: i64,
    pub next: Position,
}

/// Returns the positions of those of `partitions` that were read before.
pub async fn select(
    pool: &PgPool,
    partitions: &[Partition],
) -> sqlx::Result<BTreeMap<Partition, StoredPosition>> {
    let (topics, numbers): (Vec<_>, Vec<_>) = partitions.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"SELECT positions.topic, positions.partition, next_offset, last_offset, last_record, last_at,
                  greatest(next_offset, rewound_from) AS "highest!"
           FROM broker.positions
           JOIN unnest($1::text[], $2::int[]) AS wanted (topic, partition)
             ON wanted.topic = positions.topic AND wanted.partition = positions.partition"#,
        &topics,
        &numbers,
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let is_right_before = row.last_offset.is_some_and(|last| last + 1 == row.next_offset);
        let record = row.last_record.filter(|_| is_right_before);
        let identity = record.and_then(|bytes| Identity::from_bytes(&bytes));
        let last = identity.map(|identity| LastRecord { identity, appended_at: row.last_at });
        let position = Position { next: row.next_offset, last };
        ((row.topic, row.partition), StoredPosition { position, highest: row.highest })
    });
    Ok(stored.collect())
}

/// Returns the positions of all `partitions`, and stores the beginning of the log for those that were never read.
pub(crate) async fn select_or_insert(
    pool: &PgPool,
    partitions: &[Partition],
) -> sqlx::Result<BTreeMap<Partition, StoredPosition>> {
    let mut stored = select(pool, partitions).await?;
    let missing: Vec<Partition> =
        partitions.iter().filter(|partition| !stored.contains_key(*partition)).cloned().collect();
    if !missing.is_empty() {
        // Only the missing ones: an INSERT waits for a transaction that holds the row, even when it would do nothing.
        let (topics, numbers): (Vec<_>, Vec<_>) = missing.iter().cloned().unzip();
        sqlx::query!(
            "INSERT INTO broker.positions (topic, partition, next_offset)
             SELECT topic, partition, $3 FROM unnest($1::text[], $2::int[]) AS missing (topic, partition)
             ORDER BY topic, partition
             ON CONFLICT DO NOTHING",
            &topics,
            &numbers,
            BEGINNING,
        )
        .execute(pool)
        .await?;
        stored.extend(select(pool, &missing).await?);
    }
    Ok(stored)
}

/// The result of an update of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updated {
    /// All positions are advanced.
    Advanced,
    /// All positions are advanced, over records of which some are dead letters from an earlier reading.
    AdvancedOverDeadLetters,
    /// Another transaction moved a position meanwhile (a rebalance, a zombie instance, an operator's rewind): roll back.
    Stale,
}

/// Advances positions that have the expected offsets.
pub(crate) async fn update(
    connection: &mut PgConnection,
    updates: &[PositionUpdate],
) -> sqlx::Result<Updated> {
    let (topics, numbers): (Vec<_>, Vec<_>) = updates.iter().map(|update| update.partition.clone()).unzip();
    let (expected, next): (Vec<_>, Vec<_>) =
        updates.iter().map(|update| (update.expected, update.next.next)).unzip();
    let last = || updates.iter().map(|update| update.next.last.as_ref());
    let records: Vec<_> = last().map(|last| last.map(|last| last.identity.bytes().to_vec())).collect();
    let appended: Vec<_> = last().map(|last| last.and_then(|last| last.appended_at)).collect();
    let over_dead_letters = sqlx::query_scalar!(
        r#"
        UPDATE broker.positions SET
            next_offset = step.next, last_offset = step.next - 1, last_record = step.record, last_at = step.appended_at
        FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bytea[], $6::timestamptz[])
             AS step (topic, partition, expected, next, record, appended_at)
        WHERE positions.topic = step.topic
          AND positions.partition = step.partition
          AND positions.next_offset = step.expected
        RETURNING EXISTS (
            SELECT FROM broker.dead_letters AS letter
            WHERE letter.topic = step.topic AND letter.partition = step.partition
              AND letter.log_offset >= step.expected AND letter.log_offset < step.next
              AND letter.redriven_at IS NULL
        ) AS "over_dead_letters!"
        "#,
        &topics,
        &numbers,
        &expected,
        &next,
        &records as &[Option<Vec<u8>>],
        &appended as &[Option<OffsetDateTime>],
    )
    .fetch_all(connection)
    .await?;
    Ok(match over_dead_letters.len() == updates.len() {
        false => Updated::Stale,
        true if over_dead_letters.contains(&true) => Updated::AdvancedOverDeadLetters,
        true => Updated::Advanced,
    })
}
