//! The service's HTTP contract: orders are placed, read and cancelled, customers erased.

mod cancel;
mod erase;
mod place;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use broker::{Failure, Outbox};
use events::values::OrderId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, ClientAddress, Json, Limit, Path, Problem, bearer};

use crate::placing::Placing;
use crate::store;
use crate::tokens::Tokens;
use crate::view::OrderView;

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Api {
    /// Where their transactions begin.
    pub(crate) outbox: Outbox,
    /// Where orders are handed in.
    pub(crate) placing: Placing,
    /// Makes and checks the tokens of customers.
    pub(crate) tokens: Tokens,
    /// Checks the operator's.
    pub(crate) admin: AdminToken,
    /// How many orders a client may place.
    pub(crate) limit: Option<Arc<Limit<ClientAddress>>>,
    /// How many wishes to be told a client's orders may carry.
    pub(crate) wishes: Option<Arc<Limit<ClientAddress>>>,
}

/// The routes.
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
/// Whoever knows an order's id may read it; the answer holds no address. With the operator's token it holds `customer_id`
/// too. A token that is neither the operator's nor the order's own `cancel_token` is refused (401): who sends one expects
/// more than the public answer. A confirmed order is done when `payment` is
/// captured and `stock` committed (its customer may still cancel it); a cancelled one when `payment` is declined, voided
/// or refunded and `stock` rejected or released.
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
    let order = store::orders::find(api.outbox.pool(), id).await?.ok_or_else(unknown)?;
    let view = match reader {
        Reader::Operator => OrderView::for_operator(&order),
        Reader::Guest => OrderView::of(&order),
    };
    Ok(axum::response::IntoResponse::into_response(Json(view)))
}

const OTHER_TOKEN: &str =
    "This is neither the operator's token nor this order's; without a token the order can be read as well.";

/// Who reads an order, by the token that they present.
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

fn unknown() -> Problem {
    Problem::not_found("There is no order with this id.")
}

/// Room for new work. An argument before the body's: without room the body is not read.
struct Room;

impl FromRequestParts<Api> for Room {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if api.outbox.is_full() {
            let detail = "Too many events wait for Kafka; nothing was changed, try again.";
            return Err(Problem::unavailable(detail));
        }
        Ok(Self)
    }
}

/// What a failed transaction answers.
fn failed(failure: Failure) -> Problem {
    match failure {
        Failure::Busy(error) => error.into(),
        Failure::Retry(error) => {
            tracing::error!(%error, "the database did not answer");
            Problem::unavailable(
                "The database does not answer at the moment. Try again; with an Idempotency-Key nothing happens twice.",
            )
        }
        Failure::Record { cause, .. } | Failure::SomeRecord(cause) => {
            tracing::error!(cause, "a valid request was refused by the database");
            Problem::internal()
        }
    }
}
