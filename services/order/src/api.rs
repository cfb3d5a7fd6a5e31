//! The HTTP API: orders are placed, read and cancelled, customers erased.

mod cancel;
mod erase;
#[cfg(fuzzing)]
pub mod fuzzing;
mod place;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use broker::Outbox;
use events::values::OrderId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, ClientAddress, Json, Limit, Path, Problem, bearer};

use crate::group_commit::GroupCommit;
use crate::store;
use crate::tokens::Tokens;
use crate::view::OrderView;

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) outbox: Outbox,
    pub(crate) group_commit: GroupCommit,
    pub(crate) tokens: Tokens,
    pub(crate) admin: AdminToken,
    /// The limit of orders per client and minute.
    pub(crate) order_limit: Option<Arc<Limit<ClientAddress>>>,
    /// The limit of orders with `notify_me` per client and hour.
    pub(crate) notify_me_limit: Option<Arc<Limit<ClientAddress>>>,
}

pub(crate) fn routes(api: Api) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(place::place))
        .routes(routes!(show))
        .routes(routes!(cancel::cancel))
        .routes(routes!(erase::erase_customer))
        .routes(routes!(erase::erase_address))
        .with_state(api)
}

impl FromRef<Api> for AdminToken {
    fn from_ref(api: &Api) -> Self {
        api.admin.clone()
    }
}

/// Read an order
///
/// A caller who knows an order's id may read it; the answer holds no address. With the operator's token it holds
/// `customer_id` too. A token that is neither the operator's nor the order's own `cancel_token` is refused (401), since its
/// sender expects more than the public answer. A confirmed order is finished when `payment` is captured and `stock`
/// committed (its customer may still cancel it); a cancelled one when `payment` is declined, voided or refunded and `stock`
/// rejected or released.
#[utoipa::path(
    get, path = "/orders/{id}", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id")),
    responses((status = OK, body = OrderView)),
    security((), ("bearer" = []))
)]
async fn show(
    reader: Reader,
    State(api): State<Api>,
    Path(id): Path<OrderId>,
) -> Result<axum::response::Response, Problem> {
    let order = store::orders::find(api.outbox.pool(), id).await?.ok_or_else(not_found)?;
    let view = match reader {
        Reader::Operator => OrderView::for_operator(&order),
        Reader::Guest => OrderView::of(&order),
    };
    Ok(axum::response::IntoResponse::into_response(Json(view)))
}

const OTHER_TOKEN: &str =
    "This is neither the operator's token nor this order's; without a token the order can be read as well.";

/// The reader of an order, by the presented token.
enum Reader {
    Operator,
    /// No token, or the order's own.
    Guest,
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, api).await?.0.parse::<OrderId>().ok();
        if api.admin.admit(parts) {
            return Ok(Self::Operator);
        }
        match bearer(&parts.headers) {
            None => Ok(Self::Guest),
            Some(presented) if id.is_some_and(|id| api.tokens.may_cancel(id, presented)) => Ok(Self::Guest),
            Some(_) => Err(api.admin.refuse(parts, OTHER_TOKEN).await),
        }
    }
}

fn not_found() -> Problem {
    Problem::not_found("There is no order with this id.")
}

/// Refuses a request while the outbox is full. An argument before the body's, so that the body is not read then.
struct OutboxHasRoom;

impl FromRequestParts<Api> for OutboxHasRoom {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if api.outbox.is_full() {
            let detail = "Too many events wait for Kafka; nothing was changed, try again.";
            return Err(Problem::unavailable(detail));
        }
        Ok(Self)
    }
}
