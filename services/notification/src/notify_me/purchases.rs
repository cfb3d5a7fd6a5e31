//! What confirmed orders mean for those who wait: whoever came by the link in a message has converted; whoever bought
//! it anyhow is not told any more.

use broker::{Cause, Tx};
use envelope::Sequence;
use events::values::{ClaimHash, CustomerId, OrderId, Sku};
use events::{NotificationEvent, SubscriptionConverted};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::call_back;

/// A line of a confirmed order.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub units: i64,
    pub claim: Option<ClaimHash>,
    pub cause: Cause,
    pub at: OffsetDateTime,
}

/// Applies purchases.
pub(crate) async fn apply(tx: &mut Tx, purchases: &[Purchase]) -> sqlx::Result<()> {
    convert(tx, purchases).await?;
    let orders: Vec<Uuid> = purchases.iter().map(|purchase| purchase.order.uuid()).collect();
    let skus: Vec<String> = purchases.iter().map(|purchase| purchase.sku.to_string()).collect();
    let customers: Vec<Uuid> = purchases.iter().map(|purchase| purchase.customer.uuid()).collect();
    let times: Vec<OffsetDateTime> = purchases.iter().map(|purchase| purchase.at).collect();
    end(tx, &customers, &skus, &times).await?;
    sqlx::query!(
        r#"
        INSERT INTO purchases (order_id, sku, customer_id, bought_at)
        SELECT order_id, sku, customer_id, at
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS bought (order_id, sku, customer_id, at)
        WHERE NOT EXISTS (SELECT FROM contacts WHERE contacts.customer_id = bought.customer_id)
        ORDER BY order_id, sku
        ON CONFLICT DO NOTHING
        "#,
        &orders,
        &skus,
        &customers,
        &times,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Applies what customers bought before their contact was known.
pub(crate) async fn catch_up(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<()> {
    let bought = sqlx::query!(
        "DELETE FROM purchases WHERE customer_id = ANY($1) RETURNING customer_id, sku, bought_at",
        customers,
    )
    .fetch_all(&mut **tx)
    .await?;
    if bought.is_empty() {
        return Ok(());
    }
    let customers: Vec<Uuid> = bought.iter().map(|row| row.customer_id).collect();
    let times: Vec<OffsetDateTime> = bought.iter().map(|row| row.bought_at).collect();
    let skus: Vec<String> = bought.into_iter().map(|row| row.sku).collect();
    end(tx, &customers, &skus, &times).await
}

/// The address of an order's customer, while it is known.
pub(crate) async fn address_of(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<String>> {
    let address = sqlx::query_scalar!(
        "SELECT email FROM orders JOIN contacts USING (customer_id) WHERE order_id = $1",
        order.uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(address.flatten())
}

/// Ends what the buyers' addresses waited for when they bought it. What is confirmed later was wished for later.
async fn end(tx: &mut Tx, customers: &[Uuid], skus: &[String], times: &[OffsetDateTime]) -> sqlx::Result<()> {
    let ended = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT subscriptions.id, bought.at
            FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS bought (customer_id, sku, at)
            JOIN contacts USING (customer_id)
            JOIN subscriptions ON subscriptions.email = contacts.email AND subscriptions.sku = bought.sku
            WHERE state IN ('pending', 'waiting', 'notified') AND subscriptions.created_at <= bought.at
            ORDER BY subscriptions.id FOR UPDATE OF subscriptions
        )
        UPDATE subscriptions
        SET state = 'bought', queued_at = NULL, ended_at = hit.at,
            bought_at = CASE WHEN activated_at IS NOT NULL THEN hit.at END
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        customers,
        skus,
        times,
    )
    .fetch_all(&mut **tx)
    .await?;
    if ended.is_empty() { Ok(()) } else { call_back(tx, &ended).await }
}

/// Marks the subscriptions whose claims came with orders of their product, each once.
async fn convert(tx: &mut Tx, purchases: &[Purchase]) -> sqlx::Result<()> {
    let mut claimed: Vec<(&ClaimHash, &Purchase)> =
        purchases.iter().filter_map(|purchase| Some((purchase.claim.as_ref()?, purchase))).collect();
    // Stable: the first order with a claim counts.
    claimed.sort_by_key(|(claim, purchase)| (claim.as_str(), &purchase.sku));
    claimed.dedup_by_key(|(claim, purchase)| (claim.as_str(), &purchase.sku));
    if claimed.is_empty() {
        return Ok(());
    }
    let claims: Vec<&str> = claimed.iter().map(|(claim, _)| claim.as_str()).collect();
    let skus: Vec<&str> = claimed.iter().map(|(_, purchase)| purchase.sku.as_str()).collect();
    let orders: Vec<Uuid> = claimed.iter().map(|(_, purchase)| purchase.order.uuid()).collect();
    let units: Vec<i64> = claimed.iter().map(|(_, purchase)| purchase.units).collect();
    let times: Vec<OffsetDateTime> = claimed.iter().map(|(_, purchase)| purchase.at).collect();
    let converted = sqlx::query!(
        r#"
        WITH hit AS (
            SELECT subscriptions.id, ordered.claim, ordered.order_id, ordered.units, ordered.at
            FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[])
                 AS ordered (claim, sku, order_id, units, at)
            JOIN subscriptions ON (subscriptions.claim = ordered.claim OR subscriptions.former_claim = ordered.claim)
                 AND subscriptions.sku = ordered.sku
            WHERE converted_at IS NULL AND state IN ('waiting', 'notified', 'lapsed', 'unsubscribed', 'bought')
            ORDER BY subscriptions.id FOR UPDATE OF subscriptions
        )
        UPDATE subscriptions
        SET state = 'converted', queued_at = NULL, ended_at = COALESCE(ended_at, hit.at),
            notified_at = COALESCE(notified_at, hit.at), converted_at = hit.at, converted_by = hit.order_id,
            units = hit.units, version = version + 1
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id, hit.claim AS "claim!", version
        "#,
        &claims as &[&str],
        &skus as &[&str],
        &orders,
        &units,
        &times,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in &converted {
        let Some((claim, purchase)) = claimed.iter().find(|(claim, _)| claim.as_str() == row.claim) else {
            continue;
        };
        tell(tx, row.id, row.version, claim, purchase)?;
    }
    let ids: Vec<Uuid> = converted.into_iter().map(|row| row.id).collect();
    if ids.is_empty() { Ok(()) } else { call_back(tx, &ids).await }
}

fn tell(tx: &mut Tx, id: Uuid, version: i64, claim: &ClaimHash, purchase: &Purchase) -> sqlx::Result<()> {
    let event = NotificationEvent::SubscriptionConverted(SubscriptionConverted {
        subscription_id: id.into(),
        sku: purchase.sku.clone(),
        order_id: purchase.order,
        claim: claim.clone(),
        units: purchase.units,
    });
    let sequence = Sequence::from_i64(version).unwrap_or_default();
    tx.append(purchase.cause.clone(), sequence, &event).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (sku, order_id, units) = (purchase.sku.clone(), purchase.order, purchase.units);
    let traceparent = purchase.cause.traceparent.clone();
    tx.on_commit(move || {
        let event_type = "subscription.converted.v1";
        tracing::info!(%sku, %order_id, units, event_type, traceparent, "a message became an order");
    });
    Ok(())
}
