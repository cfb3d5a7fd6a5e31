//! The copy of orders: the customer, and how far the order's events were read, so that reading a topic again sends no message a
//! second time. A row outlives its deliveries; `retention` deletes it when the log has lost the order too.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{CustomerId, OrderId};
use uuid::Uuid;

use super::{column, sequence};

/// The orders of a batch.
pub(crate) type Orders = BTreeMap<OrderId, Order>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// `None` while only the refund has arrived.
    pub customer: Option<CustomerId>,
    /// Of topic `orders`.
    pub last_sequence: Sequence,
    /// The refund has arrived.
    pub refunded: bool,
}

/// Loads and locks these orders; unknown ones are absent.
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
        let order = Order {
            customer: row.customer_id.map(CustomerId::from),
            last_sequence: sequence(row.seen_orders),
            refunded: row.refunded,
        };
        (row.order_id.into(), order)
    });
    Ok(rows.collect())
}

/// Writes orders. Another topic's handler may have written the same one meanwhile, so no value is taken back.
pub(crate) async fn save(tx: &mut Tx, orders: &Orders) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        INSERT INTO orders (order_id, customer_id, seen_orders, refunded)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::boolean[])
        ON CONFLICT (order_id) DO UPDATE
        SET customer_id = COALESCE(excluded.customer_id, orders.customer_id),
            seen_orders = GREATEST(excluded.seen_orders, orders.seen_orders),
            refunded = excluded.refunded OR orders.refunded,
            seen_at = now()
        "#,
        &column(orders, |(id, _)| id.uuid()),
        &column(orders, |(_, order)| order.customer.map(CustomerId::uuid)) as &[Option<Uuid>],
        &column(orders, |(_, order)| order.last_sequence.to_i64()),
        &column(orders, |(_, order)| order.refunded),
    );
    query.execute(&mut **tx).await.map(drop)
}
