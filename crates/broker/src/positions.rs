//! Where this service reads on: one row a partition, advanced in the transaction that applies the records' effects.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::record::{Identity, Record};

/// A partition of a topic (without the system's prefix).
pub(crate) type Partition = (String, i32);

/// Where each partition is read on.
pub(crate) type Positions = BTreeMap<Partition, Position>;

/// The beginning of the log, as Kafka's clients write it.
pub(crate) const BEGINNING: i64 = -2;

/// Where a partition is read on, and behind which record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The offset of the next record.
    pub next: i64,
    /// The record at the offset before; `None` before the first record and after a rewind.
    pub last: Option<LastRecord>,
}

/// What is remembered of the record before a position, so that another record in its place is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastRecord {
    pub identity: Identity,
    /// `None` when its topic keeps the publishers' time.
    pub appended_at: Option<OffsetDateTime>,
}

impl Position {
    /// The position at this offset, behind a record of which nothing is known.
    #[cfg(test)]
    pub(crate) fn at(next: i64) -> Self {
        Self { next, last: None }
    }

    /// The position behind `record`, which was read from the topic with this full name.
    pub(crate) fn behind(record: &Record, full_name: &str) -> Self {
        let last =
            LastRecord { identity: Identity::of(record, full_name), appended_at: record.appended_at() };
        Self { next: record.offset + 1, last: Some(last) }
    }
}

/// One partition's step in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub partition: Partition,
    pub expected: i64,
    pub next: Position,
}

/// Reads the positions of `partitions`; one that was never read starts at the log's beginning.
pub(crate) async fn read(pool: &PgPool, partitions: &[Partition]) -> sqlx::Result<Positions> {
    let mut positions = select(pool, partitions).await?;
    let missing: Vec<Partition> =
        partitions.iter().filter(|partition| !positions.contains_key(*partition)).cloned().collect();
    if !missing.is_empty() {
        // Only those that are missing: an INSERT waits for whoever holds the row, even when it would do nothing.
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
        positions.extend(select(pool, &missing).await?);
    }
    Ok(positions)
}

/// The highest position that there ever was of each partition, as far as the database knows.
pub(crate) async fn highest(
    pool: &PgPool,
    partitions: &[Partition],
) -> sqlx::Result<BTreeMap<Partition, i64>> {
    let (topics, numbers): (Vec<_>, Vec<_>) = partitions.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"SELECT positions.topic, positions.partition, greatest(next_offset, rewound_from) AS "highest!"
           FROM broker.positions
           JOIN unnest($1::text[], $2::int[]) AS wanted (topic, partition)
             ON wanted.topic = positions.topic AND wanted.partition = positions.partition"#,
        &topics,
        &numbers,
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    Ok(rows.map(|row| ((row.topic, row.partition), row.highest)).collect())
}

/// Notes that these positions are lower than `highest` on purpose.
pub(crate) async fn note_rewound(
    connection: &mut PgConnection,
    highest: &BTreeMap<Partition, i64>,
) -> sqlx::Result<()> {
    let (topics, numbers): (Vec<_>, Vec<_>) = highest.keys().cloned().unzip();
    let offsets: Vec<i64> = highest.values().copied().collect();
    sqlx::query!(
        "INSERT INTO broker.positions AS held (topic, partition, next_offset, rewound_from)
         SELECT topic, partition, $4, highest
         FROM unnest($1::text[], $2::int[], $3::bigint[]) AS noted (topic, partition, highest)
         ORDER BY topic, partition
         ON CONFLICT (topic, partition) DO UPDATE SET
             rewound_from = greatest(held.rewound_from, excluded.rewound_from)",
        &topics,
        &numbers,
        &offsets,
        BEGINNING,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The positions of those of `partitions` that were read before.
pub(crate) async fn select(pool: &PgPool, partitions: &[Partition]) -> sqlx::Result<Positions> {
    let (topics, numbers): (Vec<_>, Vec<_>) = partitions.iter().cloned().unzip();
    let rows = sqlx::query!(
        "SELECT positions.topic, positions.partition, next_offset, last_offset, last_record, last_at
         FROM broker.positions
         JOIN unnest($1::text[], $2::int[]) AS wanted (topic, partition)
           ON wanted.topic = positions.topic AND wanted.partition = positions.partition",
        &topics,
        &numbers,
    )
    .fetch_all(pool)
    .await?;
    let position = |next, last_offset: Option<i64>, record: Option<Vec<u8>>, appended_at| {
        let is_right_before = last_offset.is_some_and(|last| last + 1 == next);
        let identity = record.filter(|_| is_right_before).and_then(|bytes| Identity::from_bytes(&bytes));
        Position { next, last: identity.map(|identity| LastRecord { identity, appended_at }) }
    };
    let positions = rows.into_iter().map(|row| {
        let position = position(row.next_offset, row.last_offset, row.last_record, row.last_at);
        ((row.topic, row.partition), position)
    });
    Ok(positions.collect())
}

/// How an advance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// The positions are moved.
    Moved,
    /// They are, over records of which some are dead letters: these were read before.
    OverDeadLetters,
    /// Someone else was here meanwhile (a rebalance, a frozen twin, an operator's rewind): roll back.
    Stale,
}

/// Moves the positions on.
pub(crate) async fn advance(connection: &mut PgConnection, steps: &[Step]) -> sqlx::Result<Advanced> {
    let (topics, numbers): (Vec<_>, Vec<_>) = steps.iter().map(|step| step.partition.clone()).unzip();
    let (expected, next): (Vec<_>, Vec<_>) = steps.iter().map(|step| (step.expected, step.next.next)).unzip();
    let last = || steps.iter().map(|step| step.next.last.as_ref());
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
    Ok(match over_dead_letters.len() == steps.len() {
        false => Advanced::Stale,
        true if over_dead_letters.contains(&true) => Advanced::OverDeadLetters,
        true => Advanced::Moved,
    })
}
