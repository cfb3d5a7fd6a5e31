//! Subscriptions that a sold-out order made. Whose address it is may not be known yet: such a subscription belongs to
//! the order's customer until the contact arrives, and `adopt` says then what becomes of it.

use broker::Tx;
use events::values::{CustomerId, OrderId, Quantity, Sku, SubscriptionId};
use uuid::Uuid;

use super::subscriptions::{CONFIRM_WITHIN, Consent, WAITS, quantity};
use super::tokens::Tokens;
use crate::config::OrderConsent;

/// A short line whose customer asked to be told.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub id: SubscriptionId,
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub quantity: Quantity,
}

/// Writes the subscriptions that were not made before: they wait at once where an order's word is trusted, else the
/// address is asked once it is known.
pub(crate) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    mut made: Vec<&Made>,
    consent: OrderConsent,
) -> sqlx::Result<()> {
    let trusted = consent == OrderConsent::Trusted;
    made.sort_by(|a, b| (a.order, &a.sku).cmp(&(b.order, &b.sku)));
    let ids: Vec<Uuid> = made.iter().map(|made| made.id.uuid()).collect();
    let orders: Vec<Uuid> = made.iter().map(|made| made.order.uuid()).collect();
    let customers: Vec<Uuid> = made.iter().map(|made| made.customer.uuid()).collect();
    let skus: Vec<&str> = made.iter().map(|made| made.sku.as_str()).collect();
    let quantities: Vec<i32> = made.iter().map(|made| quantity(made.quantity)).collect();
    let hashes: Vec<String> = made.iter().map(|made| tokens.claim_hash(made.id).into()).collect();
    let waits = if trusted { WAITS } else { CONFIRM_WITHIN };
    sqlx::query!(
        r#"
        INSERT INTO subscriptions (id, order_id, customer_id, sku, quantity, claim, created_at, expires_at,
                                   state, consent, consented_at, activated_at, asked_round)
        SELECT id, order_id, customer_id, sku, quantity, claim, now(), now() + make_interval(secs => $7),
               CASE WHEN $8 THEN 'waiting' ELSE 'pending' END, CASE WHEN $8 THEN $9 END,
               CASE WHEN $8 THEN now() END, CASE WHEN $8 THEN now() END, CASE WHEN $8 THEN 0 ELSE 1 END
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[])
             AS made (id, order_id, customer_id, sku, quantity, claim)
        ON CONFLICT (order_id, sku) WHERE order_id IS NOT NULL DO UPDATE
        -- A restored database has it from the log, which does not say whose it is.
        SET customer_id = excluded.customer_id
        WHERE subscriptions.customer_id IS NULL AND subscriptions.email IS NULL
        "#,
        &ids,
        &orders,
        &customers,
        &skus as &[&str],
        &quantities,
        &hashes,
        waits.as_seconds_f64(),
        trusted,
        Consent::Order.name(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
