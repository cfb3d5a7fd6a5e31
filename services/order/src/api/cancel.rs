//! `POST /orders/{id}/cancel`.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use broker::{Cause, Failure, Outbox};
use events::values::OrderId;
use time::OffsetDateTime;
use web::{Json, Path, Problem, Traceparent, bearer};

use super::{Api, Room, failed, unknown};
use crate::announce::Announcement;
use crate::domain::Order;
use crate::store;
use crate::view::OrderView;

const NO_TOKEN: &str = "Send Authorization: Bearer with this order's cancel_token, or the ADMIN_TOKEN.";

/// The order that the caller may cancel, by its own token or the operator's. An argument before all others.
pub(super) struct Cancellable(OrderId);

impl FromRequestParts<Api> for Cancellable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, api).await?.0.parse::<OrderId>().ok();
        if api.admin.admit(parts) {
            return id.map(Self).ok_or_else(unknown);
        }
        let presented = bearer(&parts.headers).unwrap_or_default();
        match id.filter(|id| api.tokens.may_cancel(*id, presented)) {
            Some(id) => Ok(Self(id)),
            // Strangers do not learn here which orders there are.
            None => Err(api.admin.refuse(parts, NO_TOKEN).await),
        }
    }
}

/// Cancel an order
///
/// With the `cancel_token` that the answer to `POST /orders` had, or the operator's token. Counts at any time, also after
/// the capture: then the money goes back. Done again it changes nothing; an order that was cancelled for another reason
/// keeps that reason.
#[utoipa::path(
    post, path = "/orders/{id}/cancel", tag = "orders",
    params(("id" = OrderId, Path, description = "The order's id")),
    responses((status = ACCEPTED, body = OrderView)),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    Cancellable(id): Cancellable,
    _: Room,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
) -> Result<Response, Problem> {
    let order = apply(&api.outbox, id, Cause::traced(Some(traceparent))).await.map_err(failed)?;
    let order = order.ok_or_else(unknown)?;
    Ok((StatusCode::ACCEPTED, Json(OrderView::of(&order))).into_response())
}

/// Cancels the order unless it is cancelled, and returns it as it is then.
async fn apply(outbox: &Outbox, id: OrderId, cause: Cause) -> Result<Option<Order>, Failure> {
    let mut tx = outbox.begin().await?;
    let Some(mut order) = store::orders::load(&mut tx, &[id.uuid()]).await?.pop() else { return Ok(None) };
    if let Some(event) = order.cancel(OffsetDateTime::now_utc().truncate_to_microsecond()) {
        let announcement = Announcement::of(&order, cause.traceparent.clone());
        tx.append(cause, order.version, &event)?;
        store::orders::save(&mut tx, &[&order]).await?;
        tx.on_commit(move || announcement.make());
    }
    let cancelled = store::orders::find(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(cancelled)
}
