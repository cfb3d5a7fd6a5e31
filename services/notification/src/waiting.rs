//! Rows that wait for another service's event: messages for their contact, refunds for their order.

use broker_ops::{Awaited, Waiting};
use envelope::Sequence;
use events::values::OrderId;
use sqlx::PgPool;

use crate::store::sequence;

/// Customers whose contact has not arrived, and who have a message or a subscription.
pub(crate) async fn for_customers(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT customer_id AS "customer_id!", min(created_at) AS "since!" FROM (
            SELECT customer_id, created_at FROM deliveries WHERE status = 'waiting_for_contact'
            UNION ALL
            SELECT customer_id, created_at FROM subscriptions WHERE email IS NULL AND is_active(state)
        ) AS unaddressed
        WHERE created_at <= $1 AND customer_id > $2
          AND NOT EXISTS (SELECT FROM contacts WHERE contacts.customer_id = unaddressed.customer_id)
        GROUP BY customer_id ORDER BY customer_id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter().map(|row| Awaited {
        key: row.customer_id.to_string(),
        last_sequence: Sequence::NONE,
        since: row.since,
    });
    Ok(rows.collect())
}

/// Orders of which only the refund has arrived.
pub(crate) async fn for_orders(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id, seen_orders, seen_at FROM orders
        WHERE customer_id IS NULL AND seen_at <= $1 AND order_id > $2
        ORDER BY order_id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter().map(|row| Awaited {
        key: row.order_id.to_string(),
        last_sequence: sequence(row.seen_orders),
        since: OrderId::from(row.order_id).made_at().unwrap_or(row.seen_at),
    });
    Ok(rows.collect())
}
