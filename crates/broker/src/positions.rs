//! Where this service reads on: one row a partition, advanced in the transaction that applies the records' effects.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

/// A partition of a topic (without the system's prefix).
pub(crate) type Partition = (String, i32);

/// The next offset of each partition.
pub(crate) type Positions = BTreeMap<Partition, i64>;

/// The beginning of the log, as Kafka's clients write it.
pub(crate) const BEGINNING: i64 = -2;

/// One partition's step in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advance {
    pub partition: Partition,
    pub expected: i64,
    pub next: i64,
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

async fn select(pool: &PgPool, partitions: &[Partition]) -> sqlx::Result<Positions> {
    let (topics, numbers): (Vec<_>, Vec<_>) = partitions.iter().cloned().unzip();
    let rows = sqlx::query!(
        "SELECT positions.topic, positions.partition, next_offset FROM broker.positions
         JOIN unnest($1::text[], $2::int[]) AS wanted (topic, partition)
           ON wanted.topic = positions.topic AND wanted.partition = positions.partition",
        &topics,
        &numbers,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.topic, row.partition), row.next_offset)).collect())
}

/// Moves the positions on. `false`: someone else was here meanwhile (a rebalance, a frozen twin, an operator's rewind),
/// and the transaction must be rolled back.
pub(crate) async fn advance(connection: &mut PgConnection, advances: &[Advance]) -> sqlx::Result<bool> {
    let (topics, numbers): (Vec<_>, Vec<_>) =
        advances.iter().map(|advance| advance.partition.clone()).unzip();
    let (expected, next): (Vec<_>, Vec<_>) =
        advances.iter().map(|advance| (advance.expected, advance.next)).unzip();
    let result = sqlx::query!(
        "UPDATE broker.positions SET next_offset = step.next
         FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS step (topic, partition, expected, next)
         WHERE positions.topic = step.topic
           AND positions.partition = step.partition
           AND positions.next_offset = step.expected",
        &topics,
        &numbers,
        &expected,
        &next,
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(result.rows_affected()) == Ok(advances.len()))
}
