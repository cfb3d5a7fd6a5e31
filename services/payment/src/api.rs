//! The HTTP API: an operator reads a payment beside the gateway's ledger, and sets how the simulated gateway behaves.

use axum::extract::{FromRef, State};
use events::values::{Money, OrderId};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, Json, Operator, Path, Problem};

use crate::domain::{Entry, Status};
use crate::gateway::{self, Gateway, Switch};
use crate::store;

#[derive(Clone)]
pub(crate) struct Api {
    pub pool: PgPool,
    pub gateway: Gateway,
    pub admin_token: AdminToken,
}

impl FromRef<Api> for AdminToken {
    fn from_ref(api: &Api) -> Self {
        api.admin_token.clone()
    }
}

/// A payment, and the gateway's ledger of it.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    order_id: OrderId,
    status: Status,
    /// The order's total.
    amount: Money,
    /// The captured amounts, by the gateway's ledger. An amount that is only authorized is not listed.
    charges: Vec<gateway::LedgerEntry>,
    /// The refunded amounts, by the gateway's ledger.
    refunds: Vec<gateway::LedgerEntry>,
    /// The number of calls to the gateway so far, failed ones included.
    attempts: i32,
    /// The events of the order and of its payment, oldest first.
    history: Vec<Entry>,
}

pub(crate) fn routes(api: Api) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(payment)).routes(routes!(set_gateway)).with_state(api)
}

/// Read a payment: the service's view of it, and the gateway's ledger
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
    // Two queries, since the ledger stands for another company's system.
    let (payment, entries) =
        tokio::try_join!(store::find(&api.pool, order_id), api.gateway.entries(order_id))?;
    let payment = payment.ok_or_else(|| Problem::not_found("There is no payment of this order."))?;
    let (charges, refunds) = entries;
    Ok(Json(PaymentView {
        order_id,
        status: payment.status,
        amount: payment.amount,
        charges,
        refunds,
        attempts: payment.attempts,
        history: payment.history,
    }))
}

/// Set how the simulated gateway behaves, for all instances, until it is set again
///
/// The outcome for an order also depends on its payment method: `pm_card_visa` is authorized and captured;
/// `pm_card_chargeDeclined`, `pm_card_chargeDeclinedInsufficientFunds` and any name that is not listed here are declined;
/// `pm_timeout` is authorized, but the answer is lost; `pm_flaky` fails twice, then works; `pm_captureFails` is authorized
/// and cannot be captured. A latency above the timeout of a call is refused, since no payment would ever finish.
#[utoipa::path(
    put, path = "/gateway", tag = "gateway",
    request_body = Switch,
    responses((status = 200, description = "The new behaviour.", body = Switch)),
    security(("bearer" = [])),
)]
async fn set_gateway(
    _: Operator,
    State(api): State<Api>,
    Json(switch): Json<Switch>,
) -> Result<Json<Switch>, Problem> {
    api.gateway.set(switch).await?;
    tracing::info!(latency_ms = switch.latency_ms, outage = switch.outage, "gateway set");
    Ok(Json(switch))
}
