//! What confirmed orders mean for those who wait. An order with the claim of a message converts the subscription, for
//! good. Any other order of the same address suspends the wait for as long as the order stands: the subscriber is not
//! told, and counts as `bought`. A cancellation deletes the purchase, and the subscriber is back in line at the old place
//! (the view `standing_purchases` is the whole rule). So nobody's order ends what the address's owner confirmed.

use std::collections::BTreeMap;

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

/// What the orders of a batch mean for the purchases that stand: the last word on each order.
#[derive(Debug, Default)]
pub(crate) struct Standing(BTreeMap<OrderId, Vec<Purchase>>);

impl Standing {
    /// The order is confirmed with these lines.
    pub(crate) fn confirmed(&mut self, order: OrderId, lines: Vec<Purchase>) {
        self.0.insert(order, lines);
    }

    /// The order is cancelled: none of its lines is bought.
    pub(crate) fn cancelled(&mut self, order: OrderId) {
        self.0.insert(order, Vec::new());
    }

    fn made(&self) -> impl Iterator<Item = &Purchase> {
        self.0.values().flatten()
    }

    fn undone(&self) -> Vec<Uuid> {
        self.0.iter().filter(|(_, lines)| lines.is_empty()).map(|(order, _)| order.uuid()).collect()
    }

    /// Writes the purchases that somebody waits for, or may wait for.
    pub(crate) async fn save(&self, tx: &mut Tx) -> sqlx::Result<()> {
        let orders: Vec<Uuid> = self.made().map(|purchase| purchase.order.uuid()).collect();
        let skus: Vec<&str> = self.made().map(|purchase| purchase.sku.as_str()).collect();
        let customers: Vec<Uuid> = self.made().map(|purchase| purchase.customer.uuid()).collect();
        let times: Vec<OffsetDateTime> = self.made().map(|purchase| purchase.at).collect();
        if orders.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"
            INSERT INTO purchases (order_id, sku, customer_id, bought_at)
            SELECT order_id, bought.sku, bought.customer_id, at
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS bought (order_id, sku, customer_id, at)
            LEFT JOIN contacts USING (customer_id)
            WHERE contacts.customer_id IS NULL OR EXISTS (
                SELECT FROM subscriptions
                WHERE subscriptions.email = contacts.email AND subscriptions.sku = bought.sku
                  AND state IN ('pending', 'waiting', 'notified'))
            ORDER BY order_id, bought.sku
            ON CONFLICT DO NOTHING
            "#,
            &orders,
            &skus as &[&str],
            &customers,
            &times,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Deletes the purchases of cancelled orders and returns their products: who waits for one of them may be told now.
    pub(crate) async fn undo(&self, tx: &mut Tx) -> sqlx::Result<Vec<String>> {
        let orders = self.undone();
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_scalar!("DELETE FROM purchases WHERE order_id = ANY($1) RETURNING sku", &orders)
            .fetch_all(&mut **tx)
            .await
    }
}

/// Deletes at most `limit` purchases that suspend no wait, and returns how many. New ones are kept for an hour: the
/// contact and the subscription that belong to one may be on their way.
pub(crate) async fn forget(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
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
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
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

/// Marks the subscriptions whose claims came with orders of their product, each once.
pub(crate) async fn convert(tx: &mut Tx, purchases: &[Purchase]) -> sqlx::Result<()> {
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
        SET state = 'converted', queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            notified_at = COALESCE(notified_at, now()), converted_at = hit.at, converted_by = hit.order_id,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn line(order: OrderId) -> Purchase {
        Purchase {
            order,
            customer: CustomerId::random(),
            sku: "PEN".parse().unwrap(),
            units: 1,
            claim: None,
            cause: Cause::default(),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    proptest! {
        /// However a history is cut into batches, what stands in the end is what was confirmed and never cancelled.
        #[test]
        fn only_what_was_never_cancelled_stands(
            history in prop::collection::vec((0..6_usize, any::<bool>()), 0..40),
            cuts in prop::collection::vec(any::<bool>(), 40),
        ) {
            let orders: Vec<OrderId> = (0..6).map(|_| OrderId::new(OffsetDateTime::UNIX_EPOCH)).collect();
            let (mut table, mut expected) = (BTreeSet::new(), BTreeSet::new());
            let mut batch = Standing::default();
            for (step, (order, confirmed)) in history.into_iter().enumerate() {
                let order = orders[order];
                if confirmed {
                    batch.confirmed(order, vec![line(order)]);
                    expected.insert(order.uuid());
                } else {
                    batch.cancelled(order);
                    expected.remove(&order.uuid());
                }
                if cuts[step] {
                    commit(&mut table, &std::mem::take(&mut batch));
                }
            }
            commit(&mut table, &batch);
            prop_assert_eq!(table, expected);
        }
    }

    /// What the database does with a batch.
    fn commit(table: &mut BTreeSet<Uuid>, batch: &Standing) {
        let undone = batch.undone();
        table.retain(|order| !undone.contains(order));
        table.extend(batch.made().map(|purchase| purchase.order.uuid()));
    }
}
