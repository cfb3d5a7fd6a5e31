//! "No more of this": one click, also by the mail program itself (RFC 8058). It ends the subscription, and the mailbox is
//! not asked about the product again, whoever enters its address.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use events::values::SubscriptionId;
use time::OffsetDateTime;
use web::{Problem, Query};

use super::refuse::{Page, refused};
use super::{Link, gone};
use crate::api::App;
use crate::notify_me::refusals::{self, Refused, Scope};
use crate::notify_me::standing::standing;
use crate::notify_me::subscriptions;
use crate::notify_me::tokens::Grant;

/// The question, or what was answered already.
#[utoipa::path(get, operation_id = "show_unsubscription", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(id) = read(&app, &link) else { return gone(&app) };
    let Some(standing) = standing(app.outbox.pool(), id).await? else { return gone(&app) };
    let refused = refused(app.outbox.pool(), &app, &standing).await?;
    // Without an address there is nobody to write to.
    let is_over = refused.is_none_or(Refused::any);
    let name = if is_over { "unsubscribed" } else { "unsubscribe" };
    app.pages.show(StatusCode::OK, name, Page::of(&app, id, &standing, refused))
}

/// Ends the subscription, and refuses further questions about its product. Done again, it shows the same page.
#[utoipa::path(post, operation_id = "unsubscribe", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(id) = read(&app, &link) else { return gone(&app) };
    let (now, mut tx) = (OffsetDateTime::now_utc(), app.outbox.begin().await?);
    subscriptions::unsubscribe(&mut tx, id).await?;
    let Some(standing) = standing(&mut *tx, id).await? else { return gone(&app) };
    if let Some(mailbox) = standing.mailbox(&app.linker.tokens) {
        let scope = Scope::Product(&standing.sku);
        refusals::refuse(&mut tx, &mailbox, standing.email.as_deref(), scope, now).await?;
    }
    let refused = refused(&mut *tx, &app, &standing).await?;
    tx.commit().await?;
    app.pages.show(StatusCode::OK, "unsubscribed", Page::of(&app, id, &standing, refused))
}

fn read(app: &App, link: &Link) -> Option<SubscriptionId> {
    match app.linker.tokens.read(&link.token)? {
        Grant::Unsubscribe(id) => Some(id),
        _ => None,
    }
}
