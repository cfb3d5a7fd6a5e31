//! The SQL of a wave: the product that is due, the spent budget, the waitlist, messages that are taken back, and the next time
//! to look.

use std::time::Duration;

use broker::{Cause, Tx};
use events::Channel;
use events::values::{Quantity, Sku, SubscriptionId};
use time::OffsetDateTime;
use uuid::Uuid;
use work::furthest;

use super::{products, undecodable};
use crate::domain::budget::Candidate;
use crate::domain::content::Content;
use crate::domain::delivery::Message;
use crate::domain::subscription::Status;

/// A product that is due for a wave.
pub(crate) struct Product {
    pub sku: String,
    pub available: i64,
    pub restocks: i64,
    name: String,
    amount: i64,
    currency: String,
    pub listed: bool,
    caused_by: Option<Uuid>,
    pub traceparent: Option<String>,
}

impl Product {
    /// The message to a subscriber who wants `quantity` units.
    pub(crate) fn message(&self, place: &Queued, at: OffsetDateTime) -> sqlx::Result<Message> {
        let content = Content::BackInStock {
            subscription_id: place.id,
            sku: self.sku.parse::<Sku>().map_err(undecodable)?,
            name: self.name.clone(),
            price: products::price(self.amount, &self.currency)?,
            quantity: Quantity::try_from(i64::from(place.quantity)).map_err(undecodable)?,
            restocks: self.restocks,
        };
        let cause = Cause { event_id: self.caused_by, traceparent: self.traceparent.clone() };
        Ok(Message { content, customer: None, cause, at })
    }
}

/// Locks the product that has been due the longest; one that another instance holds is left to it.
pub(crate) async fn due(tx: &mut Tx) -> sqlx::Result<Option<Product>> {
    sqlx::query_as!(
        Product,
        r#"
        SELECT stock.sku, available, restocks, name, amount, currency, listed, caused_by, traceparent
        FROM stock JOIN products USING (sku)
        WHERE wave_at <= now() ORDER BY wave_at LIMIT 1
        FOR UPDATE OF stock SKIP LOCKED
        "#,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The spent part of a wave's budget, in units.
pub(crate) struct Spent {
    pub queued: i64,
    pub recently_notified: i64,
}

/// The units of queued messages, and of subscribers notified within the last `interval`.
pub(crate) async fn spent(tx: &mut Tx, sku: &str, interval: Duration) -> sqlx::Result<Spent> {
    sqlx::query_as!(
        Spent,
        r#"
        SELECT (SELECT COALESCE(sum(quantity), 0)::bigint FROM subscriptions
                WHERE sku = $1 AND queued_at IS NOT NULL) AS "queued!",
               (SELECT COALESCE(sum(quantity), 0)::bigint FROM subscriptions
                WHERE sku = $1 AND notified_at > now() - make_interval(secs => $2)
                  AND notified_at <= now() + make_interval(secs => $3)) AS "recently_notified!"
        "#,
        sku,
        interval.as_secs_f64(),
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// The next on the waitlist, at most `limit`, who want no more than is available and were not notified of this restock.
pub(crate) async fn candidates(
    tx: &mut Tx,
    product: &Product,
    limit: i64,
) -> sqlx::Result<Vec<Candidate<Uuid>>> {
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id!", quantity AS "quantity!" FROM waiting_line
        WHERE sku = $1 AND queued_at IS NULL AND email IS NOT NULL AND quantity <= $2
          AND (told_restocks IS NULL OR told_restocks < $3)
        ORDER BY by_order, activated_at, id LIMIT $4
        "#,
        product.sku,
        i32::try_from(product.available).unwrap_or(i32::MAX),
        product.restocks,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| Candidate { id: row.id, wanted: row.quantity.into() }).collect())
}

/// A subscriber whose message is queued.
pub(crate) struct Queued {
    pub id: SubscriptionId,
    quantity: i32,
}

/// Marks the chosen subscribers as queued and returns them in waitlist order. The messages of those whom an earlier wave
/// took back are made due again, for this restock.
pub(crate) async fn enqueue(
    tx: &mut Tx,
    product: &Product,
    mut chosen: Vec<Uuid>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Queued>> {
    chosen.sort_unstable();
    let mut rows = sqlx::query!(
        r#"
        WITH chosen AS (
            SELECT id FROM subscriptions
            WHERE id = ANY($1) AND state = $3 AND queued_at IS NULL ORDER BY id FOR UPDATE
        )
        UPDATE subscriptions SET queued_at = $2 FROM chosen WHERE subscriptions.id = chosen.id
        RETURNING subscriptions.id, quantity, consent = 'order' AS "by_order!", activated_at AS "activated_at!"
        "#,
        &chosen,
        now,
        Status::Waiting.as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.sort_unstable_by_key(|row| (row.by_order, row.activated_at, row.id));
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    sqlx::query!(
        r#"
        UPDATE deliveries
        SET restocks = $2, data = jsonb_set(data, '{restocks}', to_jsonb($2::bigint)), next_at = now(),
            caused_by = $3, traceparent = $4
        WHERE subscription_id = ANY($1) AND kind = 'back_in_stock' AND finished_at IS NULL AND next_at IS NULL
          -- Another channel's message may have been put on hold alone, so that this restock's is there already.
          AND NOT EXISTS (
              SELECT FROM deliveries AS newer
              WHERE newer.subscription_id = deliveries.subscription_id AND newer.channel = deliveries.channel
                AND newer.restocks = $2 AND newer.id <> deliveries.id)
        "#,
        &ids,
        product.restocks,
        product.caused_by,
        product.traceparent,
    )
    .execute(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| Queued { id: row.id.into(), quantity: row.quantity }).collect())
}

/// The facts that decide when the product is due again.
pub(crate) struct Next {
    /// The budget may reach further down the waitlist: due at once.
    pub more: bool,
    /// Some messages could not be taken back yet: due in a second.
    pub soon: bool,
    /// While the waitlist is not empty: due when the first recently notified subscriber leaves the budget, or after this time.
    pub interval: Duration,
}

/// Writes when the product is due for its next wave.
pub(crate) async fn reschedule(tx: &mut Tx, sku: &str, next: Next) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE stock SET wave_at = CASE
            WHEN $2 THEN now()
            WHEN $4 THEN now() + interval '1 second'
            WHEN available > 0 AND EXISTS (
                SELECT FROM waiting_line WHERE waiting_line.sku = $1 AND queued_at IS NULL)
            THEN GREATEST(now() + interval '1 second', make_interval(secs => $3) + COALESCE(
                (SELECT min(notified_at) FROM subscriptions
                 WHERE subscriptions.sku = $1 AND notified_at > now() - make_interval(secs => $3)
                   AND notified_at <= now()), now())) END
        WHERE sku = $1
        "#,
        sku,
        next.more,
        next.interval.as_secs_f64(),
        next.soon,
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Takes back at most `units` of the queued messages when the stock has fallen: the last subscribers on the waitlist return to
/// their places, so a mail server that was away for an hour sends no more messages than the present stock allows. Returns `true`
/// while a worker holds some of them: those that the worker does not send must be taken back later. `primary` is the channel that
/// decides whether a subscriber is notified.
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
