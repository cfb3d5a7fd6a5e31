//! The HTTP contract: an operator looks at a payment beside the gateway's own books, and sets how the simulated gateway
//! behaves.

use axum::extract::{FromRef, State};
use events::values::{Money, OrderId};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, Json, Operator, Path, Problem};

use crate::domain::{Entry, Status};
use crate::gateway::{self, Books, Switch};
use crate::store;

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Api {
    pub pool: PgPool,
    pub books: Books,
    pub admin_token: AdminToken,
}

impl FromRef<Api> for AdminToken {
    fn from_ref(api: &Api) -> Self {
        api.admin_token.clone()
    }
}

/// A payment, and the gateway's own books on it.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    order_id: OrderId,
    status: Status,
    /// The order's total.
    amount: Money,
    /// What the gateway has captured. An amount that is merely held is not listed: it becomes a charge when it is
    /// captured.
    charges: Vec<gateway::LedgerEntry>,
    /// What the gateway has given back.
    refunds: Vec<gateway::LedgerEntry>,
    /// Calls to the gateway so far, those that brought nothing included.
    attempts: i32,
    /// The events of the order and of its payment, oldest first.
    history: Vec<Entry>,
}

/// The service's routes.
pub(crate) fn routes(api: Api) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(payment)).routes(routes!(set_gateway)).with_state(api)
}

/// A payment: what the service knows of it, and what the gateway has in its books
#[utoipa::path(
    get, path = "/payments/{order_id}", tag = "payments",
    params(("order_id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The payment.", body = PaymentView)),
    security(("bearer" = [])),
)]
async fn payment(
    _: Operator,
    State(api): State<Api>,
    Path(order_id): Path<OrderId>,
) -> Result<Json<PaymentView>, Problem> {
    // Two questions, not one query: the books are somebody else's.
    let (seen, entries) = tokio::try_join!(store::see(&api.pool, order_id), api.books.entries(order_id))?;
    let seen = seen.ok_or_else(|| Problem::not_found("There is no payment of this order."))?;
    let (charges, refunds) = entries;
    Ok(Json(PaymentView {
        order_id,
        status: seen.status,
        amount: seen.amount,
        charges,
        refunds,
        attempts: seen.attempts,
        history: seen.history,
    }))
}

/// Sets how the simulated gateway behaves, for all instances, until it is set again
///
/// Besides, it does with an order what the order's payment method says: `pm_card_visa` is authorized and captured;
/// `pm_card_chargeDeclined`, `pm_card_chargeDeclinedInsufficientFunds` and any name that is not listed here are declined;
/// `pm_timeout` is authorized and the answer does not come; `pm_flaky` fails twice, then works; `pm_captureFails` is
/// authorized and cannot be captured. A latency that is longer than a call waits is refused: nothing would settle.
#[utoipa::path(
    put, path = "/gateway", tag = "gateway",
    request_body = Switch,
    responses((status = 200, description = "How it behaves from now on.", body = Switch)),
    security(("bearer" = [])),
)]
async fn set_gateway(
    _: Operator,
    State(api): State<Api>,
    Json(switch): Json<Switch>,
) -> Result<Json<Switch>, Problem> {
    api.books.set(switch).await?;
    tracing::info!(latency_ms = switch.latency_ms, outage = switch.outage, "gateway set");
    Ok(Json(switch))
}
