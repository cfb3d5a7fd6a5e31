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
pub(crate) struct Step {
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
    let (expected, next): (Vec<_>, Vec<_>) = steps.iter().map(|step| (step.expected, step.next)).unzip();
    let over_dead_letters = sqlx::query_scalar!(
        r#"
        UPDATE broker.positions SET next_offset = step.next
        FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS step (topic, partition, expected, next)
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
    )
    .fetch_all(connection)
    .await?;
    Ok(match over_dead_letters.len() == steps.len() {
        false => Advanced::Stale,
        true if over_dead_letters.contains(&true) => Advanced::OverDeadLetters,
        true => Advanced::Moved,
    })
}
