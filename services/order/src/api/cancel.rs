//! `POST /orders/{id}/cancel`.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use broker::{Failure, Outbox};
use events::values::OrderId;
use time::OffsetDateTime;
use web::{Json, Path, Problem, Traceparent, bearer};

use super::{Api, OutboxHasRoom, not_found};
use crate::domain::Order;
use crate::view::{OrderView, problem};
use crate::{status_log, store};

const NO_TOKEN: &str = "Send Authorization: Bearer with this order's cancel_token, or the ADMIN_TOKEN.";

/// The order that the caller may cancel, with its own token or the operator's. An argument before all others.
pub(super) struct Cancellable(OrderId);

impl FromRequestParts<Api> for Cancellable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, api).await?.0.parse::<OrderId>().ok();
        if api.admin.admit(parts) {
            return id.map(Self).ok_or_else(not_found);
        }
        let presented = bearer(&parts.headers).unwrap_or_default();
        match id.filter(|id| api.tokens.may_cancel(*id, presented)) {
            Some(id) => Ok(Self(id)),
            // The same answer for an unknown order, so that strangers do not learn which orders exist.
            None => Err(api.admin.refuse(parts, NO_TOKEN).await),
        }
    }
}

/// Cancel an order
///
/// With the `cancel_token` of the answer to `POST /orders`, or the operator's token. Possible at any time; after a capture
/// the payment is refunded. A repetition changes nothing; an order that was cancelled for another reason keeps that reason.
#[utoipa::path(
    post, path = "/orders/{id}/cancel", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id")),
    responses((status = ACCEPTED, body = OrderView)),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    Cancellable(id): Cancellable,
    _: OutboxHasRoom,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
) -> Result<Response, Problem> {
    let order = apply(&api.outbox, id, traceparent).await.map_err(problem)?;
    let order = order.ok_or_else(not_found)?;
    Ok((StatusCode::ACCEPTED, Json(OrderView::of(&order))).into_response())
}

/// Cancels the order unless it is cancelled already, and returns its new state.
async fn apply(outbox: &Outbox, id: OrderId, traceparent: String) -> Result<Option<Order>, Failure> {
    let mut tx = outbox.begin().await?;
    let Some(mut order) = store::orders::load(&mut tx, &[id.uuid()]).await?.pop() else { return Ok(None) };
    if let Some(event) = order.cancel(OffsetDateTime::now_utc().truncate_to_microsecond()) {
        status_log::publish(&mut tx, &order, &event, Some(traceparent))?;
        store::orders::save(&mut tx, &[&order]).await?;
    }
    let cancelled = store::orders::find(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(cancelled)
}
