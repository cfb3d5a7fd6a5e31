//! Subscriptions made by sold-out orders. The address may not be known yet: such a subscription belongs to the order's customer
//! until the contact arrives, and `waitlist::addressing` then decides what becomes of it.

use broker::Tx;
use events::values::{CustomerId, OrderId, Quantity, Sku, SubscriptionId};
use uuid::Uuid;

use super::subscriptions::quantity;
use crate::domain::subscription::{CONFIRM_WITHIN, Consent, Event, MAX_WAIT, Status};
use crate::domain::tokens::Tokens;

/// The subscription for a short line whose customer asked for one.
#[derive(Debug, Clone)]
pub(crate) struct ByOrder {
    pub id: SubscriptionId,
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub quantity: Quantity,
}

/// Inserts the new ones: on the waitlist at once where an order's consent is trusted, else pending until the address has confirmed.
pub(crate) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    mut requested: Vec<&ByOrder>,
    trusted: bool,
) -> sqlx::Result<()> {
    requested.sort_by(|a, b| (a.order, &a.sku).cmp(&(b.order, &b.sku)));
    let ids: Vec<Uuid> = requested.iter().map(|row| row.id.uuid()).collect();
    let orders: Vec<Uuid> = requested.iter().map(|row| row.order.uuid()).collect();
    let customers: Vec<Uuid> = requested.iter().map(|row| row.customer.uuid()).collect();
    let skus: Vec<&str> = requested.iter().map(|row| row.sku.as_str()).collect();
    let quantities: Vec<i32> = requested.iter().map(|row| quantity(row.quantity)).collect();
    let claims: Vec<String> = requested.iter().map(|row| tokens.claim_hash(row.id).into()).collect();
    let (status, expires_after) =
        if trusted { (Event::Confirmed.target(), MAX_WAIT) } else { (Status::Pending, CONFIRM_WITHIN) };
    sqlx::query!(
        r#"
        INSERT INTO subscriptions (id, order_id, customer_id, sku, quantity, claim, created_at, expires_at,
                                   state, consent, consented_at, activated_at, asked_round)
        SELECT id, order_id, customer_id, sku, quantity, claim, now(), now() + make_interval(secs => $7), $10,
               CASE WHEN $8 THEN $9 END, CASE WHEN $8 THEN now() END, CASE WHEN $8 THEN now() END, (NOT $8)::int
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[])
             AS requested (id, order_id, customer_id, sku, quantity, claim)
        ON CONFLICT (order_id, sku) WHERE order_id IS NOT NULL DO UPDATE
        -- A restored database has the subscription from the log, which names no customer.
        SET customer_id = excluded.customer_id
        WHERE subscriptions.customer_id IS NULL AND subscriptions.email IS NULL
        "#,
        &ids,
        &orders,
        &customers,
        &skus as &[&str],
        &quantities,
        &claims,
        expires_after.as_seconds_f64(),
        trusted,
        Consent::Order.as_str(),
        status.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
