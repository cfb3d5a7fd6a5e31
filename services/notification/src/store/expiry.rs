//! The SQL of periodic work: subscriptions expire, and their addresses are forgotten.

use broker::{Outbox, Tx};
use sqlx::PgPool;
use uuid::Uuid;

use super::deliveries;
use crate::domain::subscription::Event;

/// Ends at most `limit` subscriptions whose time is over, cancels their unsent messages, and returns their number.
pub(crate) async fn expire(outbox: &Outbox, limit: i64) -> sqlx::Result<u64> {
    let mut tx = outbox.begin().await?;
    let expired = end(&mut tx, limit).await?;
    deliveries::cancel_unsent(&mut tx, &expired).await?;
    tx.commit().await?;
    Ok(expired.len() as u64)
}

async fn end(tx: &mut Tx, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE expires_at <= now() AND state = ANY($2)
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions
        SET state = CASE WHEN bought.at IS NULL THEN $3 ELSE $4 END,
            bought_at = COALESCE(subscriptions.bought_at, bought.at), queued_at = NULL, ended_at = now()
        FROM over LEFT JOIN (
            SELECT subscription_id, min(bought_at) AS at FROM standing_purchases GROUP BY subscription_id
        ) AS bought ON bought.subscription_id = over.id
        WHERE subscriptions.id = over.id
        RETURNING subscriptions.id
        "#,
        limit,
        &Event::Expired.sources() as &[&str],
        Event::Expired.target().as_str(),
        Event::ExpiredAfterPurchase.target().as_str(),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Forgets the addresses of at most `limit` subscriptions that ended 90 days ago, and returns their number. Until then their
/// deliveries can be looked up.
pub(crate) async fn forget_addresses(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE ended_at <= now() - interval '90 days' AND email IS NOT NULL
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions SET email = NULL, mailbox = NULL FROM over WHERE subscriptions.id = over.id
        "#,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
