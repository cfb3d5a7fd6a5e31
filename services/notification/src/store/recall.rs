//! Takes queued messages back when the stock has fallen: the last subscribers on the waitlist return to their places. So a mail
//! server that was away for an hour sends no more messages than the present stock allows.

use broker::Tx;
use events::Channel;
use uuid::Uuid;

/// Takes back at most `units` of the queued messages, the last on the waitlist first. Returns `true` while a worker holds some of
/// them: those that the worker does not send must be taken back later. `primary` is the channel that decides whether a subscriber
/// is notified.
pub(crate) async fn recall(tx: &mut Tx, sku: &str, units: i64, primary: Channel) -> sqlx::Result<bool> {
    let last = last_in_line(tx, sku, units).await?;
    if last.is_empty() {
        return Ok(false);
    }
    let stopped = sqlx::query!(
        r#"
        UPDATE deliveries SET next_at = NULL
        WHERE subscription_id = ANY($1) AND kind = 'back_in_stock' AND finished_at IS NULL AND next_at IS NOT NULL
          AND token IS NULL
        RETURNING subscription_id AS "subscription!", channel
        "#,
        &last,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<Uuid> = stopped
        .into_iter()
        .filter_map(|row| (row.channel == <&str>::from(primary)).then_some(row.subscription))
        .collect();
    sqlx::query!("UPDATE subscriptions SET queued_at = NULL WHERE id = ANY($1)", &ids)
        .execute(&mut **tx)
        .await?;
    if !ids.is_empty() {
        tracing::info!(
            sku,
            subscribers = ids.len(),
            "the stock fell: queued subscribers are back on the waitlist"
        );
    }
    Ok(ids.len() < last.len())
}

/// Locks the queued subscribers whose units, summed up from the end of the waitlist, are at most `units`: the others still use up
/// the budget.
async fn last_in_line(tx: &mut Tx, sku: &str, units: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT id FROM subscriptions
        WHERE queued_at IS NOT NULL AND id IN (
            SELECT id FROM (
                SELECT id, sum(quantity) OVER (ORDER BY (consent = 'order') DESC, activated_at DESC, id DESC) AS units
                FROM subscriptions WHERE sku = $1 AND queued_at IS NOT NULL) AS line
            WHERE units <= $2)
        ORDER BY id FOR UPDATE
        "#,
        sku,
        units,
    )
    .fetch_all(&mut **tx)
    .await
}
