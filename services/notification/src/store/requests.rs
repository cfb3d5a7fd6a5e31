//! Requests of `POST /subscriptions` that no worker has handled yet (table `wishes`).

use broker::Tx;
use events::values::Invalid;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::{Request, quantity};

/// The most requests that are stored; one beyond is answered with 503.
const CAPACITY: i64 = 10_000;

/// Stores a request; `false` when too many are stored.
pub(crate) async fn insert(
    pool: &PgPool,
    request: &Request,
    traceparent: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO wishes (id, email, sku, quantity, traceparent, created_at)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE (SELECT count(*) FROM (SELECT FROM wishes LIMIT $7) AS stored) < $7
        "#,
        Uuid::now_v7(),
        request.email.expose(),
        request.sku.as_str(),
        quantity(request.quantity),
        traceparent,
        now,
        CAPACITY,
    )
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// The ids of the oldest requests, at most `limit`.
pub(crate) async fn oldest(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!("SELECT id FROM wishes ORDER BY id LIMIT $1", limit).fetch_all(pool).await
}

/// Deletes and returns these requests, each with its traceparent, in the order in which their mailboxes are locked. Those that
/// another instance handles are left to it.
pub(crate) async fn take(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<Vec<(Request, Option<String>)>> {
    let rows = sqlx::query!(
        r#"
        DELETE FROM wishes WHERE id IN (
            SELECT id FROM wishes WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id, email, sku, quantity, traceparent
        "#,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut requests = Vec::new();
    for row in rows {
        match read(&row.email, &row.sku, row.quantity) {
            Ok(request) => requests.push((row.id, request, row.traceparent)),
            Err(error) => tracing::error!(%error, "a subscription request does not parse; dropped"),
        }
    }
    requests.sort_by_cached_key(|(id, request, _)| (request.email.mailbox(), request.sku.clone(), *id));
    Ok(requests.into_iter().map(|(_, request, traceparent)| (request, traceparent)).collect())
}

pub(crate) async fn delete(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM wishes WHERE id = $1", id).execute(pool).await.map(drop)
}

fn read(email: &str, sku: &str, quantity: i32) -> Result<Request, Invalid> {
    Ok(Request { email: email.parse()?, sku: sku.parse()?, quantity: i64::from(quantity).try_into()? })
}
