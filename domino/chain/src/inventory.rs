//! Inventory: takes an order's goods from the stock, then has the customer notified; puts the goods back when that fails or
//! the order is cancelled.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use events::NotificationKind;
use events::values::{EmailAddress, OrderId, Quantity, Sku};
use serde::{Deserialize, Serialize};
use sqlx::types::{Json as Jsonb, Uuid};
use sqlx::{PgConnection, PgPool};
use web::{Json, Problem};

use crate::call::{Budget, Downstream, Failed, undone};
use crate::notification::Message;

/// A line of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) quantity: Quantity,
}

/// An order's goods.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Goods {
    pub(crate) order_id: OrderId,
    pub(crate) email: EmailAddress,
    pub(crate) items: Vec<Line>,
}

#[derive(Clone)]
struct Inventory {
    pool: PgPool,
    notification: Arc<Downstream>,
}

/// Units that arrive.
#[derive(Debug, Deserialize)]
struct Restock {
    quantity: Quantity,
}

/// The state of a reservation in which goods are taken from the stock.
const COMMITTED: &str = "committed";

pub(crate) fn routes(pool: PgPool, notification: Downstream) -> Router {
    let inventory = Inventory { pool, notification: Arc::new(notification) };
    Router::new()
        .route("/products/{sku}/restock", post(restock))
        .route("/reservations", post(reserve))
        .route("/reservations/cancel", post(cancel))
        .with_state(inventory)
}

async fn restock(
    State(inventory): State<Inventory>,
    Path(sku): Path<String>,
    Json(restock): Json<Restock>,
) -> Result<StatusCode, Problem> {
    let upsert =
        "INSERT INTO stock VALUES ($1, $2) ON CONFLICT (sku) DO UPDATE SET available = stock.available + $2";
    sqlx::query(upsert).bind(sku).bind(restock.quantity.get()).execute(&inventory.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the goods and has the customer notified. Runs to its end when the caller gives up meanwhile.
async fn reserve(
    State(inventory): State<Inventory>,
    budget: Budget,
    Json(goods): Json<Goods>,
) -> Result<StatusCode, Problem> {
    run_to_end(async move {
        if !inventory.take(&goods).await? {
            return Err(Problem::conflict("A product is sold out, or the order was cancelled."));
        }
        let (kind, email) = (NotificationKind::OrderConfirmed, goods.email.clone());
        let message = Message { order_id: goods.order_id, kind, email };
        if inventory.notification.post("/notifications", &message, budget).await.is_err() {
            inventory.release(&goods).await?;
            return Err(undone());
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Puts the goods of a cancelled order back and tells the customer, if the customer was told before. Also for an order that
/// is not known yet: its late request is refused.
async fn cancel(
    State(inventory): State<Inventory>,
    budget: Budget,
    Json(goods): Json<Goods>,
) -> Result<StatusCode, Problem> {
    run_to_end(async move {
        if inventory.release(&goods).await? {
            let (kind, email) = (NotificationKind::OrderCancelled, goods.email);
            let message = Message { order_id: goods.order_id, kind, email };
            let notified = inventory.notification.post("/notifications", &message, budget).await;
            notified.map_err(Failed::problem)?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

impl Inventory {
    /// Takes the goods, once. Returns `false` when a product is sold out or the order was cancelled before.
    async fn take(&self, goods: &Goods) -> sqlx::Result<bool> {
        let mut tx = self.pool.begin().await?;
        let insert = "INSERT INTO reservations VALUES ($1, $2, 'committed') ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(goods.order_id.uuid()).bind(Jsonb(&goods.items));
        if insert.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(status(&mut tx, goods.order_id.uuid()).await?.as_deref() == Some(COMMITTED));
        }
        for Line { sku, quantity } in sorted(&goods.items) {
            let take = "UPDATE stock SET available = available - $2 WHERE sku = $1 AND available >= $2";
            let taken = sqlx::query(take).bind(sku.as_str()).bind(quantity.get()).execute(&mut *tx).await?;
            if taken.rows_affected() == 0 {
                // Dropping the transaction undoes the lines before.
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Puts the goods back, once. Returns whether they had been taken.
    async fn release(&self, goods: &Goods) -> sqlx::Result<bool> {
        let mut tx = self.pool.begin().await?;
        let insert = "INSERT INTO reservations VALUES ($1, $2, 'released') ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(goods.order_id.uuid()).bind(Jsonb(&goods.items));
        let is_new = insert.execute(&mut *tx).await?.rows_affected() > 0;
        let was_taken =
            !is_new && status(&mut tx, goods.order_id.uuid()).await?.as_deref() == Some(COMMITTED);
        if was_taken {
            let update = "UPDATE reservations SET status = 'released' WHERE order_id = $1";
            sqlx::query(update).bind(goods.order_id.uuid()).execute(&mut *tx).await?;
            for Line { sku, quantity } in sorted(&goods.items) {
                let put_back = "UPDATE stock SET available = available + $2 WHERE sku = $1";
                sqlx::query(put_back).bind(sku.as_str()).bind(quantity.get()).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(was_taken)
    }
}

async fn status(connection: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<String>> {
    let select = "SELECT status FROM reservations WHERE order_id = $1 FOR UPDATE";
    sqlx::query_scalar(select).bind(order).fetch_optional(connection).await
}

/// The lines in the order of their SKUs, so that two orders do not wait for each other.
fn sorted(items: &[Line]) -> Vec<&Line> {
    let mut lines: Vec<&Line> = items.iter().collect();
    lines.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
    lines
}

/// Runs work on a task of its own: a handler is dropped when its caller closes the connection, and half a step must not
/// stay undone.
pub(crate) async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}
