//! Messages that are queued for more than the stock is good for, since it has fallen: the last in line go back to their
//! places. So a mail server that was away for an hour sends no more than what is there now is worth.

use broker::Tx;
use events::Channel;
use uuid::Uuid;

use crate::deliver::content::channel_name;

/// Takes back at most `units` of what is queued, the last in line first. `tells` is the channel that counts. `true`: a
/// worker holds some of it at this moment; what it cannot send is to be taken back too.
pub(super) async fn recall(tx: &mut Tx, sku: &str, units: i64, tells: Channel) -> sqlx::Result<bool> {
    let last = last_in_line(tx, sku, units).await?;
    if last.is_empty() {
        return Ok(false);
    }
    let kept_back = sqlx::query!(
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
    let ids: Vec<Uuid> = kept_back
        .into_iter()
        .filter_map(|row| (row.channel == channel_name(tells)).then_some(row.subscription))
        .collect();
    sqlx::query!("UPDATE subscriptions SET queued_at = NULL WHERE id = ANY($1)", &ids)
        .execute(&mut **tx)
        .await?;
    if !ids.is_empty() {
        tracing::info!(sku, subscribers = ids.len(), "less in stock than was queued for: back in line");
    }
    Ok(ids.len() < last.len())
}

/// Locks those whose units, counted from the end of the line, are not more than `units`: without them the budget is
/// still used up.
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
