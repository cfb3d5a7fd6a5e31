//! Payment: authorizes an order's money, has inventory do its part, then captures; reverses the money when a later step
//! fails or the order is cancelled.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{post, put};
use events::values::{Money, OrderId, PaymentMethod};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use web::{Json, Problem};

use crate::call::{Budget, Downstream, Failed, UNDONE, undone};
use crate::gateway::Gateway;
use crate::inventory::{Goods, run_to_end};

/// An order's payment, with the goods for the next role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) amount: Money,
    pub(crate) method: PaymentMethod,
    pub(crate) goods: Goods,
}

#[derive(Clone)]
struct Payments {
    pool: PgPool,
    inventory: Arc<Downstream>,
    gateway: Arc<Gateway>,
}

/// How the simulated gateway behaves from now on.
#[derive(Debug, Deserialize)]
struct Simulation {
    latency_ms: u64,
}

pub(crate) fn routes(pool: PgPool, inventory: Downstream, latency: Duration) -> Router {
    let gateway = Arc::new(Gateway::new(pool.clone(), latency));
    let payments = Payments { pool, inventory: Arc::new(inventory), gateway };
    Router::new()
        .route("/payments", post(pay))
        .route("/payments/cancel", post(cancel))
        .route("/simulation", put(simulate))
        .with_state(payments)
}

async fn simulate(State(payments): State<Payments>, Json(simulation): Json<Simulation>) -> StatusCode {
    payments.gateway.set_latency(simulation.latency_ms);
    StatusCode::NO_CONTENT
}

async fn pay(
    State(payments): State<Payments>,
    budget: Budget,
    Json(payment): Json<Payment>,
) -> Result<StatusCode, Problem> {
    run_to_end(async move { payments.pay(&payment, budget).await.map(|()| StatusCode::NO_CONTENT) }).await
}

async fn cancel(
    State(payments): State<Payments>,
    budget: Budget,
    Json(payment): Json<Payment>,
) -> Result<StatusCode, Problem> {
    run_to_end(async move { payments.cancel(&payment, budget).await.map(|()| StatusCode::NO_CONTENT) }).await
}

impl Payments {
    async fn pay(&self, payment: &Payment, budget: Budget) -> Result<(), Problem> {
        let order = payment.goods.order_id;
        if !self.begin(payment).await? {
            return self.answer_again(order).await;
        }
        if !self.gateway.authorize(order, payment.amount.amount, payment.method.as_str()).await? {
            self.set(order, "declined").await?;
            return Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "The card was declined."));
        }
        if !self.set(order, "authorized").await? {
            return self.undo(payment, None, budget).await;
        }
        if let Err(failed) = self.inventory.post("/reservations", &payment.goods, budget).await {
            return self.undo(payment, Some(failed), budget).await;
        }
        if !self.gateway.capture(order).await? || !self.set(order, "captured").await? {
            return self.undo(payment, None, budget).await;
        }
        Ok(())
    }

    /// Inserts the payment. Returns `false` when it exists: the request is a repetition, or late.
    async fn begin(&self, payment: &Payment) -> sqlx::Result<bool> {
        let insert = "INSERT INTO payments (order_id, amount, currency, method, status) VALUES ($1, $2, $3, $4, 'pending')
                      ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(payment.goods.order_id.uuid())
            .bind(payment.amount.amount)
            .bind(payment.amount.currency.as_str())
            .bind(payment.method.as_str());
        Ok(insert.execute(&self.pool).await?.rows_affected() > 0)
    }

    async fn answer_again(&self, order: OrderId) -> Result<(), Problem> {
        let select = "SELECT status FROM payments WHERE order_id = $1 AND NOT is_cancelled";
        let status: Option<String> =
            sqlx::query_scalar(select).bind(order.uuid()).fetch_optional(&self.pool).await?;
        match status.as_deref() {
            Some("captured") => Ok(()),
            Some("declined") => Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "The card was declined.")),
            // The first request is still being handled: this one must not be handled too.
            Some("pending" | "authorized") => {
                Err(Problem::unavailable("The payment is being made; try again."))
            }
            // The order role cancels the order, which makes sure that the reservation is cancelled too.
            _ => Err(Problem::unavailable("The payment was cancelled.")),
        }
    }

    /// Writes a status unless the order was cancelled meanwhile. Returns whether it was written.
    async fn set(&self, order: OrderId, status: &str) -> sqlx::Result<bool> {
        let update =
            "UPDATE payments SET status = $2, updated_at = now() WHERE order_id = $1 AND NOT is_cancelled";
        Ok(sqlx::query(update).bind(order.uuid()).bind(status).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Compensates after a failure: the money goes back, and the goods where their reservation may be in effect. When that
    /// fails too, the answer leaves the outcome open, and the order role cancels the order until it succeeds.
    async fn undo(&self, payment: &Payment, failed: Option<Failed>, budget: Budget) -> Result<(), Problem> {
        self.reverse(payment).await?;
        match failed {
            Some(Failed::Refused(status)) if status != UNDONE => {
                return Err(Failed::Refused(status).problem());
            }
            Some(Failed::Refused(_) | Failed::NotSent) => return Err(undone()),
            Some(Failed::Unknown) | None => {}
        }
        let cancelled = self.inventory.post("/reservations/cancel", &payment.goods, budget).await;
        Err(cancelled.map_or_else(Failed::problem, |()| undone()))
    }

    async fn reverse(&self, payment: &Payment) -> sqlx::Result<()> {
        let order = payment.goods.order_id;
        let upsert = "INSERT INTO payments (order_id, amount, currency, method, status, is_cancelled)
                      VALUES ($1, $2, $3, $4, 'pending', true)
                      ON CONFLICT (order_id) DO UPDATE SET is_cancelled = true, updated_at = now()";
        sqlx::query(upsert)
            .bind(order.uuid())
            .bind(payment.amount.amount)
            .bind(payment.amount.currency.as_str())
            .bind(payment.method.as_str())
            .execute(&self.pool)
            .await?;
        self.gateway.reverse(order, payment.amount.amount).await?;
        let update = "UPDATE payments SET status = 'reversed', updated_at = now() WHERE order_id = $1";
        sqlx::query(update).bind(order.uuid()).execute(&self.pool).await.map(drop)
    }

    /// Cancels an order's payment and reservation, whatever their states; a late request of the order is refused.
    async fn cancel(&self, payment: &Payment, budget: Budget) -> Result<(), Problem> {
        self.reverse(payment).await?;
        self.inventory.post("/reservations/cancel", &payment.goods, budget).await.map_err(Failed::problem)
    }
}
