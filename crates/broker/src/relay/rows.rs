//! The relay's SQL.

use std::collections::HashSet;

use futures::TryStreamExt as _;
use sqlx::PgPool;
use sqlx::types::Json;

use super::in_flight::InFlight;
use crate::outbox::Row;
use crate::record::HeaderList;

/// The largest number of rows of one fetch.
pub(super) const LIMIT: usize = 1000;
/// The largest size of one fetch in bytes, which bounds memory.
const BYTES: usize = 4 << 20;

/// Returns the oldest rows that are not held, without those of closed keys and topics.
///
/// Always from the oldest row on, never after a last id: ids are not assigned in commit order, and a transaction that
/// commits late would be skipped. `NOT IN` instead of `<> ALL` or `NOT EXISTS`: only `NOT IN` hashes the held ids whatever
/// the planner knows of the arrays; the others compare each row with each id, which takes most of the time of a backlog.
pub(super) async fn select(pool: &PgPool, in_flight: &InFlight) -> sqlx::Result<Vec<(i64, Row)>> {
    let (topics, keys): (Vec<_>, Vec<_>) = in_flight.closed().cloned().unzip();
    let closed_topics: Vec<String> = in_flight.closed_topics().cloned().collect();
    let ids = in_flight.ids();
    let mut selected = sqlx::query!(
        r#"
        SELECT id, topic, key, value, headers AS "headers: Json<HeaderList>"
        FROM broker.outbox
        WHERE id NOT IN (SELECT unnest($1::bigint[]))
          AND (topic, coalesce(key, '')) NOT IN (
              SELECT closed.topic, coalesce(closed.key, '')
              FROM unnest($2::text[], $3::bytea[]) AS closed (topic, key)
          )
          AND topic <> ALL ($5)
        ORDER BY id
        LIMIT $4
        "#,
        &ids,
        &topics,
        &keys as &[Option<Vec<u8>>],
        i64::try_from(LIMIT).unwrap_or(i64::MAX),
        &closed_topics,
    )
    .fetch(pool);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    // The rows after the last one are read and dropped by the connection.
    while bytes < BYTES
        && let Some(row) = selected.try_next().await?
    {
        bytes += row.value.as_ref().map_or(0, Vec::len);
        rows.push((row.id, Row { topic: row.topic, key: row.key, value: row.value, headers: row.headers.0 }));
    }
    Ok(rows)
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
