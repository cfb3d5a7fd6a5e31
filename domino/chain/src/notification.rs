//! Notification, the last role: one message per order and kind, on the log channel.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use events::NotificationKind;
use events::values::{EmailAddress, OrderId};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use web::{Json, Problem};

/// A message to a customer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) order_id: OrderId,
    pub(crate) kind: NotificationKind,
    pub(crate) email: EmailAddress,
}

pub(crate) fn routes(pool: PgPool) -> Router {
    Router::new().route("/notifications", post(notify)).with_state(pool)
}

async fn notify(State(pool): State<PgPool>, Json(message): Json<Message>) -> Result<StatusCode, Problem> {
    let insert = "INSERT INTO deliveries (order_id, kind, email) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let kind = <&str>::from(message.kind);
    let insert = sqlx::query(insert).bind(message.order_id.uuid()).bind(kind).bind(message.email.expose());
    if insert.execute(&pool).await?.rows_affected() > 0 {
        tracing::info!(order_id = %message.order_id, kind, "notified");
    }
    Ok(StatusCode::NO_CONTENT)
}
