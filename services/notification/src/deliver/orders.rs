//! What is remembered of each order: whose it is, and what of it was told. It outlives the deliveries, and goes when the
//! log has forgotten the order too (`purge`).

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{CustomerId, OrderId};
use uuid::Uuid;

/// The orders that a batch is about.
pub(crate) type Orders = BTreeMap<OrderId, Order>;

/// What is remembered of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// `None`: so far only its refund is known.
    pub customer: Option<CustomerId>,
    /// The last sequence seen of topic `orders`.
    pub seen: Sequence,
    /// Its refund was seen.
    pub refunded: bool,
}

/// Loads and locks these orders; those not heard of yet are absent.
pub(crate) async fn load(tx: &mut Tx, orders: &[Uuid]) -> sqlx::Result<Orders> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id, customer_id, seen_orders, refunded FROM orders
        WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE
        "#,
        orders,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let seen = Sequence::from_i64(row.seen_orders).unwrap_or_default();
        let order = Order { customer: row.customer_id.map(CustomerId::from), seen, refunded: row.refunded };
        (row.order_id.into(), order)
    });
    Ok(rows.collect())
}

/// Writes orders; another topic's fold may have made the same one meanwhile, so nothing known is taken back.
pub(crate) async fn save(tx: &mut Tx, orders: &Orders) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = orders.keys().map(|id| id.uuid()).collect();
    let customers: Vec<Option<Uuid>> =
        orders.values().map(|order| order.customer.map(CustomerId::uuid)).collect();
    let seen: Vec<i64> = orders.values().map(|order| order.seen.to_i64()).collect();
    let refunded: Vec<bool> = orders.values().map(|order| order.refunded).collect();
    sqlx::query!(
        r#"
        INSERT INTO orders (order_id, customer_id, seen_orders, refunded)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::boolean[])
        ON CONFLICT (order_id) DO UPDATE
        SET customer_id = COALESCE(excluded.customer_id, orders.customer_id),
            seen_orders = GREATEST(excluded.seen_orders, orders.seen_orders),
            refunded = excluded.refunded OR orders.refunded,
            seen_at = now()
        "#,
        &ids,
        &customers as &[Option<Uuid>],
        &seen,
        &refunded,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
