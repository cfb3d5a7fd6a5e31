//! The purchases that suspend subscriptions (`domain::purchase`), and the orders that came by a message.

use broker::Tx;
use envelope::Event as _;
use events::values::{ClaimHash, OrderId};
use events::{NotificationEvent, SubscriptionConverted};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{append, column, deliveries};
use crate::domain::purchase::{Purchase, StandingLines};
use crate::domain::subscription::{Event, Status};

/// Writes the purchases of a product for which the customer has a subscription, or may have one while the contact is not known.
pub(crate) async fn insert(tx: &mut Tx, lines: &StandingLines) -> sqlx::Result<()> {
    let purchases: Vec<&Purchase> = lines.purchases().collect();
    if purchases.is_empty() {
        return Ok(());
    }
    let query = sqlx::query!(
        r#"
        INSERT INTO purchases (order_id, sku, customer_id, bought_at)
        SELECT order_id, bought.sku, bought.customer_id, at
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS bought (order_id, sku, customer_id, at)
        LEFT JOIN contacts USING (customer_id)
        WHERE contacts.customer_id IS NULL OR EXISTS (
            SELECT FROM subscriptions
            WHERE subscriptions.email = contacts.email AND subscriptions.sku = bought.sku AND state = ANY($5))
        ORDER BY order_id, bought.sku
        ON CONFLICT DO NOTHING
        "#,
        &column(&purchases, |purchase| purchase.order.uuid()),
        &column(&purchases, |purchase| purchase.sku.as_str()) as &[&str],
        &column(&purchases, |purchase| purchase.customer.uuid()),
        &column(&purchases, |purchase| purchase.at),
        &Status::unexpired() as &[&str],
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Deletes the purchases of cancelled orders and returns their products, whose subscribers may be on the waitlist again.
pub(crate) async fn delete_cancelled(tx: &mut Tx, lines: &StandingLines) -> sqlx::Result<Vec<String>> {
    let orders = lines.cancelled_orders();
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!("DELETE FROM purchases WHERE order_id = ANY($1) RETURNING sku", &orders)
        .fetch_all(&mut **tx)
        .await
}

/// Deletes at most `limit` purchases that suspend no subscription, and returns how many. A purchase of the last hour stays: the
/// contact and the subscription that belong to it may be on their way.
pub(crate) async fn delete_unused(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM purchases WHERE (order_id, sku) IN (
            SELECT order_id, sku FROM purchases AS candidate
            WHERE arrived_at < now() - interval '1 hour'
              AND EXISTS (SELECT FROM contacts WHERE contacts.customer_id = candidate.customer_id)
              AND NOT EXISTS (
                  SELECT FROM standing_purchases AS standing
                  WHERE standing.order_id = candidate.order_id AND standing.sku = candidate.sku)
            LIMIT $1)
        "#,
        limit,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

/// The address of an order's customer, while it is known.
pub(crate) async fn address_of(
    database: impl PgExecutor<'_>,
    order: OrderId,
) -> sqlx::Result<Option<String>> {
    let address = sqlx::query_scalar!(
        "SELECT email FROM orders JOIN contacts USING (customer_id) WHERE order_id = $1",
        order.uuid(),
    )
    .fetch_optional(database)
    .await?;
    Ok(address.flatten())
}

/// Converts the subscriptions whose claims came with orders of their product, each once.
pub(crate) async fn convert(tx: &mut Tx, purchases: &[Purchase]) -> sqlx::Result<()> {
    let mut claimed: Vec<(&ClaimHash, &Purchase)> =
        purchases.iter().filter_map(|purchase| Some((purchase.claim.as_ref()?, purchase))).collect();
    // Stable: the first order with a claim counts.
    claimed.sort_by_key(|(claim, purchase)| (claim.as_str(), &purchase.sku));
    claimed.dedup_by_key(|(claim, purchase)| (claim.as_str(), &purchase.sku));
    if claimed.is_empty() {
        return Ok(());
    }
    let converted = mark_converted(tx, &claimed).await?;
    for row in &converted {
        if let Some((claim, purchase)) = claimed.iter().find(|(claim, _)| claim.as_str() == row.claim) {
            announce(tx, row, claim, purchase)?;
        }
    }
    deliveries::cancel_unsent(tx, &column(converted, |row| row.id)).await
}

struct Converted {
    id: Uuid,
    claim: String,
    version: i64,
}

async fn mark_converted(tx: &mut Tx, claimed: &[(&ClaimHash, &Purchase)]) -> sqlx::Result<Vec<Converted>> {
    sqlx::query_as!(
        Converted,
        r#"
        WITH hit AS (
            SELECT subscriptions.id, ordered.claim, ordered.order_id, ordered.units, ordered.at
            FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[])
                 AS ordered (claim, sku, order_id, units, at)
            JOIN subscriptions ON (subscriptions.claim = ordered.claim OR subscriptions.former_claim = ordered.claim)
                 AND subscriptions.sku = ordered.sku
            WHERE converted_at IS NULL AND state = ANY($6)
            ORDER BY subscriptions.id FOR UPDATE OF subscriptions
        )
        UPDATE subscriptions
        SET state = $7, queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            notified_at = COALESCE(notified_at, now()), converted_at = hit.at, converted_by = hit.order_id,
            units = hit.units, version = version + 1
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id, hit.claim AS "claim!", version
        "#,
        &column(claimed, |(claim, _)| claim.as_str()) as &[&str],
        &column(claimed, |(_, purchase)| purchase.sku.as_str()) as &[&str],
        &column(claimed, |(_, purchase)| purchase.order.uuid()),
        &column(claimed, |(_, purchase)| purchase.units),
        &column(claimed, |(_, purchase)| purchase.at),
        &Event::Converted.sources() as &[&str],
        Event::Converted.target().as_str(),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Appends `subscription.converted.v1`, and logs it after the commit.
fn announce(tx: &mut Tx, row: &Converted, claim: &ClaimHash, purchase: &Purchase) -> sqlx::Result<()> {
    let event = NotificationEvent::SubscriptionConverted(SubscriptionConverted {
        subscription_id: row.id.into(),
        sku: purchase.sku.clone(),
        order_id: purchase.order,
        claim: claim.clone(),
        units: purchase.units,
    });
    let event_type = event.ce_type();
    append(tx, purchase.cause.clone(), row.version, &event)?;
    let (sku, order_id, units) = (purchase.sku.clone(), purchase.order, purchase.units);
    let traceparent = purchase.cause.traceparent.clone();
    tx.on_commit(move || {
        tracing::info!(%sku, %order_id, units, event_type, traceparent, "subscription converted by an order");
    });
    Ok(())
}
