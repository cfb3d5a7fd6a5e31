//! The relay's SQL.

use std::collections::HashSet;

use sqlx::PgPool;
use sqlx::types::Json;

use super::in_flight::InFlight;
use crate::outbox::Row;
use crate::record::HeaderList;

/// The largest number of rows of one fetch.
pub(super) const LIMIT: usize = 1000;
/// The largest size of one fetch in bytes, which bounds memory.
const BYTES: i64 = 4 << 20;

/// Returns the oldest rows that are not held, without those of closed keys and topics.
///
/// Always from the oldest row on, never after a last id: ids are not assigned in commit order, and a transaction that
/// commits late would be skipped. `NOT IN` instead of `<> ALL` or `NOT EXISTS`: only `NOT IN` hashes the held ids whatever
/// the planner knows of the arrays; the others compare each row with each id, which takes most of the time of a backlog.
pub(super) async fn select(pool: &PgPool, in_flight: &InFlight) -> sqlx::Result<Vec<(i64, Row)>> {
    let (topics, keys): (Vec<_>, Vec<_>) = in_flight.closed().cloned().unzip();
    let closed_topics: Vec<String> = in_flight.closed_topics().cloned().collect();
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id!", topic AS "topic!", key, value, headers AS "headers!: Json<HeaderList>"
        FROM (
            SELECT *, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
            FROM (
                SELECT id, topic, key, value, headers, coalesce(octet_length(value), 0) AS bytes
                FROM broker.outbox
                WHERE id NOT IN (SELECT unnest($1::bigint[]))
                  AND (topic, coalesce(key, '')) NOT IN (
                      SELECT closed.topic, coalesce(closed.key, '')
                      FROM unnest($2::text[], $3::bytea[]) AS closed (topic, key)
                  )
                  AND topic <> ALL ($6)
                ORDER BY id
                LIMIT $4
            ) AS oldest
        ) AS measured
        WHERE bytes_before < $5::bigint
        ORDER BY id
        "#,
        &in_flight.ids(),
        &topics,
        &keys as &[Option<Vec<u8>>],
        i64::try_from(LIMIT).unwrap_or(i64::MAX),
        BYTES,
        &closed_topics,
    )
    .fetch_all(pool)
    .await?;
    let to_row = |key, value, topic, headers| Row { topic, key, value, headers };
    Ok(rows.into_iter().map(|row| (row.id, to_row(row.key, row.value, row.topic, row.headers.0))).collect())
}

/// Returns those of `ids` that are still in the outbox.
pub(super) async fn present(pool: &PgPool, ids: &[i64]) -> sqlx::Result<HashSet<i64>> {
    let present = sqlx::query_scalar!("SELECT id FROM broker.outbox WHERE id = ANY ($1)", ids);
    Ok(present.fetch_all(pool).await?.into_iter().collect())
}

/// Deletes published rows, and returns in order the ids of those that still existed.
pub(super) async fn delete(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    let mut deleted = sqlx::query_scalar!("DELETE FROM broker.outbox WHERE id = ANY ($1) RETURNING id", ids)
        .fetch_all(pool)
        .await?;
    deleted.sort_unstable();
    Ok(deleted)
}
