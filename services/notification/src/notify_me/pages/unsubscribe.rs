//! "No more of this": one click, also by the mail program itself (RFC 8058).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use events::values::SubscriptionId;
use time::OffsetDateTime;
use web::{Problem, Query};

use super::{About, Link, gone};
use crate::api::App;
use crate::notify_me::standing::{Standing, standing};
use crate::notify_me::subscriptions;
use crate::notify_me::tokens::Grant;

/// The question, or what was answered already.
#[utoipa::path(get, operation_id = "show_unsubscription", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(id) = read(&app, &link) else { return gone(&app) };
    let Some(standing) = standing(app.outbox.pool(), id).await? else { return gone(&app) };
    let page = if is_over(&standing) { "unsubscribed" } else { "unsubscribe" };
    app.pages.show(StatusCode::OK, page, About::of(&standing))
}

/// Ends the subscription. Done again, it shows the same page.
#[utoipa::path(post, operation_id = "unsubscribe", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(id) = read(&app, &link) else { return gone(&app) };
    let mut tx = app.outbox.begin().await?;
    subscriptions::unsubscribe(&mut tx, id, OffsetDateTime::now_utc()).await?;
    let Some(standing) = standing(&mut *tx, id).await? else { return gone(&app) };
    tx.commit().await?;
    app.pages.show(StatusCode::OK, "unsubscribed", About::of(&standing))
}

fn read(app: &App, link: &Link) -> Option<SubscriptionId> {
    match app.linker.tokens.read(&link.token)? {
        Grant::Unsubscribe(id) => Some(id),
        _ => None,
    }
}

/// Nothing would be sent to it any more.
fn is_over(standing: &Standing) -> bool {
    matches!(standing.state.as_str(), "unsubscribed" | "erased" | "converted" | "bought")
}
