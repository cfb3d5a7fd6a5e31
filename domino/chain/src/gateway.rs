//! The simulated payment gateway: another company's books, whose answers take a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use events::values::OrderId;
use sqlx::PgPool;

/// The payment methods that are authorized; all others are declined.
const VISA: &str = "pm_card_visa";

#[derive(Debug)]
pub(crate) struct Gateway {
    pool: PgPool,
    latency_ms: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(pool: PgPool, latency: Duration) -> Self {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        Self { pool, latency_ms: AtomicU64::new(latency_ms) }
    }

    /// Sets the latency of answers, as the operator of the simulation.
    pub(crate) fn set_latency(&self, milliseconds: u64) {
        self.latency_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Authorizes an order's amount, once. Returns `false` when the card is declined, or the order was reversed before.
    pub(crate) async fn authorize(&self, order: OrderId, amount: i64, method: &str) -> sqlx::Result<bool> {
        let insert = "INSERT INTO authorizations (order_id, amount, declined) VALUES ($1, $2, $3)
                      ON CONFLICT (order_id) DO UPDATE SET amount = authorizations.amount
                      RETURNING NOT declined AND reversed_at IS NULL";
        let insert = sqlx::query_scalar(insert).bind(order.uuid()).bind(amount).bind(method != VISA);
        let authorized = insert.fetch_one(&self.pool).await?;
        self.wait().await;
        Ok(authorized)
    }

    /// Captures an authorized amount, once. Returns `false` when it was reversed before.
    pub(crate) async fn capture(&self, order: OrderId) -> sqlx::Result<bool> {
        let update = "UPDATE authorizations SET captured_at = coalesce(captured_at, now())
                      WHERE order_id = $1 AND NOT declined AND reversed_at IS NULL";
        let captured = sqlx::query(update).bind(order.uuid()).execute(&self.pool).await?.rows_affected() > 0;
        self.wait().await;
        Ok(captured)
    }

    /// Voids or refunds, once; an order that is not known yet cannot be authorized any more.
    pub(crate) async fn reverse(&self, order: OrderId, amount: i64) -> sqlx::Result<()> {
        let upsert = "INSERT INTO authorizations (order_id, amount, reversed_at) VALUES ($1, $2, now())
                      ON CONFLICT (order_id) DO UPDATE SET reversed_at = coalesce(authorizations.reversed_at, now())";
        sqlx::query(upsert).bind(order.uuid()).bind(amount).execute(&self.pool).await?;
        self.wait().await;
        Ok(())
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))).await;
    }
}
