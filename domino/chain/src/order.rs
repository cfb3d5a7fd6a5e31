//! Order: prices and stores an order, has it paid, and answers when all is done. An order whose outcome is not known is
//! cancelled, again and again until that succeeds, also after a crash.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use events::values::{EmailAddress, Given, Money, OrderId, PaymentMethod, ProductName};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use sqlx::types::{Json as Jsonb, Uuid};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use web::{FieldError, Json, Problem};

use crate::call::{Budget, Downstream, Failed, UNDONE};
use crate::inventory::{Goods, Line, run_to_end};
use crate::payment::Payment;

/// The time after which a placed order without an outcome belongs to a process that crashed.
const ABANDONED: &str = "10 seconds";
const RECOVERY: Duration = Duration::from_secs(1);
/// The most orders that are recovered at a time.
const AT_ONCE: usize = 50;

/// An order to place: the same body as that of the event-driven shop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceOrder {
    email: EmailAddress,
    items: Vec<Line>,
    payment_method: Given<PaymentMethod>,
}

/// The answer to a placed order.
#[derive(Debug, Serialize)]
struct Placed {
    id: OrderId,
    status: &'static str,
}

#[derive(Debug, Deserialize)]
struct Product {
    name: ProductName,
    price: Money,
}

#[derive(Clone)]
struct Orders {
    pool: PgPool,
    payment: Arc<Downstream>,
}

pub(crate) fn routes(pool: PgPool, payment: Downstream) -> Router {
    let orders = Orders { pool, payment: Arc::new(payment) };
    tokio::spawn(orders.clone().recover());
    Router::new()
        .route("/products/{sku}", put(list))
        .route("/orders", post(place))
        .route("/orders/{id}", get(show))
        .with_state(orders)
}

async fn list(
    State(orders): State<Orders>,
    Path(sku): Path<String>,
    Json(product): Json<Product>,
) -> Result<StatusCode, Problem> {
    let upsert = "INSERT INTO products VALUES ($1, $2, $3, $4)
                  ON CONFLICT (sku) DO UPDATE SET name = $2, price = $3, currency = $4";
    let upsert = sqlx::query(upsert).bind(sku).bind(product.name.as_str());
    let upsert = upsert.bind(product.price.amount).bind(product.price.currency.as_str());
    upsert.execute(&orders.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn place(
    State(orders): State<Orders>,
    budget: Budget,
    headers: HeaderMap,
    Json(order): Json<PlaceOrder>,
) -> Result<(StatusCode, Json<Placed>), Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    run_to_end(async move {
        let payment = orders.price(order).await?;
        let id = orders.insert(&payment, key.as_deref()).await?;
        if id != payment.goods.order_id {
            return Err(Problem::conflict(
                "The Idempotency-Key was used before; read the order that it placed.",
            ));
        }
        match orders.payment.post("/payments", &payment, budget).await {
            Ok(()) => {
                orders.finish(id, "confirmed", None).await?;
                Ok((StatusCode::CREATED, Json(Placed { id, status: "confirmed" })))
            }
            Err(failed) => Err(orders.cancel(&payment, failed).await?),
        }
    })
    .await
}

async fn show(
    State(orders): State<Orders>,
    Path(id): Path<OrderId>,
) -> Result<Json<serde_json::Value>, Problem> {
    let select = "SELECT to_jsonb(shown) FROM (SELECT id, items, total, currency, status, reason, placed_at, finished_at
                  FROM orders WHERE id = $1) AS shown";
    let order = sqlx::query_scalar(select).bind(id.uuid()).fetch_optional(&orders.pool).await?;
    order.map(Json).ok_or_else(|| Problem::not_found("There is no such order."))
}

impl Orders {
    /// Prices an order by the catalogue, or names the lines that cannot be ordered.
    async fn price(&self, order: PlaceOrder) -> Result<Payment, Problem> {
        let skus: Vec<&str> = order.items.iter().map(|line| line.sku.as_str()).collect();
        let select = "SELECT sku, price, currency FROM products WHERE sku = ANY ($1)";
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as(select).bind(&skus).fetch_all(&self.pool).await?;
        let mut total: Option<Money> = None;
        let mut errors = Vec::new();
        for (index, line) in order.items.iter().enumerate() {
            let found = rows.iter().find(|(sku, ..)| sku == line.sku.as_str());
            let price = found.and_then(|(_, amount, currency)| {
                Some(Money { amount: *amount, currency: currency.parse().ok()? })
            });
            let sum = price.and_then(|price| {
                let more = price.times(line.quantity.get())?;
                total.map_or(Some(more), |total| total.plus(more))
            });
            match sum {
                Some(sum) => total = Some(sum),
                None => errors.push(FieldError::new(format!("/items/{index}/sku"), "cannot be ordered")),
            }
        }
        let (Some(amount), true) = (total, errors.is_empty()) else {
            return Err(Problem::unprocessable(errors));
        };
        let goods = Goods {
            order_id: OrderId::new(OffsetDateTime::now_utc()),
            email: order.email,
            items: order.items,
        };
        Ok(Payment { amount, method: order.payment_method.0, goods })
    }

    /// Stores the order. Returns the id of the order that the key placed: this one, or an earlier one.
    async fn insert(&self, payment: &Payment, key: Option<&str>) -> sqlx::Result<OrderId> {
        let insert = "INSERT INTO orders (id, idempotency_key, email, items, total, currency, payment_method)
                      VALUES ($1, $2, $3, $4, $5, $6, $7)
                      ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = orders.idempotency_key
                      RETURNING id";
        let id: Uuid = sqlx::query_scalar(insert)
            .bind(payment.goods.order_id.uuid())
            .bind(key)
            .bind(payment.goods.email.expose())
            .bind(Jsonb(&payment.goods.items))
            .bind(payment.amount.amount)
            .bind(payment.amount.currency.as_str())
            .bind(payment.method.as_str())
            .fetch_one(&self.pool)
            .await?;
        Ok(id.into())
    }

    /// Cancels an order after a failed call, and returns the answer. What cannot be cancelled now is cancelled later.
    async fn cancel(&self, payment: &Payment, failed: Failed) -> sqlx::Result<Problem> {
        let id = payment.goods.order_id;
        let reason = match failed {
            Failed::Refused(StatusCode::PAYMENT_REQUIRED) => "payment_declined",
            Failed::Refused(status) if status != UNDONE => "out_of_stock",
            Failed::Refused(_) | Failed::Unknown | Failed::NotSent => "unavailable",
        };
        match failed {
            Failed::Refused(_) | Failed::NotSent => self.finish(id, "cancelled", Some(reason)).await?,
            Failed::Unknown => self.finish(id, "cancelling", Some(reason)).await?,
        }
        Ok(failed.problem())
    }

    async fn finish(&self, id: OrderId, status: &str, reason: Option<&str>) -> sqlx::Result<()> {
        let update = "UPDATE orders SET status = $2, reason = $3, finished_at = now() WHERE id = $1";
        sqlx::query(update).bind(id.uuid()).bind(status).bind(reason).execute(&self.pool).await.map(drop)
    }

    /// Cancels orders without a known outcome, for as long as the process runs.
    async fn recover(self) {
        loop {
            match self.recover_some().await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(RECOVERY).await,
                Err(error) => {
                    tracing::warn!(%error, "orders cannot be recovered; trying again");
                    tokio::time::sleep(RECOVERY).await;
                }
            }
        }
    }

    /// Cancels some orders side by side. Returns whether all calls succeeded and more orders may wait.
    async fn recover_some(&self) -> anyhow::Result<bool> {
        let select = format!(
            "SELECT id, email, items, total, currency, payment_method FROM orders
             WHERE status = 'cancelling' OR status = 'placed' AND placed_at < now() - interval '{ABANDONED}'
             ORDER BY placed_at LIMIT {AT_ONCE}"
        );
        let unfinished: Vec<Unfinished> =
            sqlx::query_as(sqlx::AssertSqlSafe(select)).fetch_all(&self.pool).await?;
        let is_full = unfinished.len() == AT_ONCE;
        let cancelled = try_join_all(unfinished.into_iter().map(|order| self.recover_one(order))).await?;
        Ok(is_full && cancelled.into_iter().all(|cancelled| cancelled))
    }

    /// Returns whether the order is cancelled: payment answered.
    async fn recover_one(&self, order: Unfinished) -> anyhow::Result<bool> {
        let payment = Payment::try_from(order)?;
        let answer = self.payment.post("/payments/cancel", &payment, Budget::in_background()).await;
        if answer.is_ok() {
            self.finish(payment.goods.order_id, "cancelled", Some("unavailable")).await?;
        }
        Ok(answer.is_ok())
    }
}

#[derive(FromRow)]
struct Unfinished {
    id: Uuid,
    email: String,
    items: Jsonb<Vec<Line>>,
    total: i64,
    currency: String,
    payment_method: String,
}

impl TryFrom<Unfinished> for Payment {
    type Error = anyhow::Error;

    fn try_from(order: Unfinished) -> anyhow::Result<Self> {
        let goods = Goods { order_id: order.id.into(), email: order.email.try_into()?, items: order.items.0 };
        let amount = Money { amount: order.total, currency: order.currency.parse()? };
        Ok(Self { amount, method: order.payment_method.try_into()?, goods })
    }
}
