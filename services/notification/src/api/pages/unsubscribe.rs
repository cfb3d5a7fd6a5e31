//! The page behind the unsubscribe link, which a mail program may also post by itself (RFC 8058). It ends the subscription and
//! refuses mails about the product, also after another request with the same address.

use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;
use web::{Problem, Query};

use super::refuse::{Page, refused};
use super::{Link, invalid_link};
use crate::api::app::App;
use crate::domain::tokens::Grant;
use crate::store::refusals::{self, Refused, Scope};
use crate::store::subscriptions::{self, find};

/// Shows the question, or the answer that was given already.
#[utoipa::path(get, operation_id = "show_unsubscription", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Unsubscribe(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let Some(subscription) = find(app.outbox.pool(), id).await? else { return invalid_link(&app) };
    let refused = refused(app.outbox.pool(), &app, &subscription).await?;
    // Without an address no mail is sent any more.
    let is_over = refused.is_none_or(Refused::any);
    let name = if is_over { "unsubscribed" } else { "unsubscribe" };
    app.pages.show(name, Page::of(&app, id, &subscription, refused))
}

/// Ends the subscription, and refuses mails about its product. A repeated request shows the same page.
#[utoipa::path(post, operation_id = "unsubscribe", path = "/subscriptions/unsubscribe", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Unsubscribe(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let (now, mut tx) = (OffsetDateTime::now_utc(), app.outbox.begin().await?);
    let Some(subscription) = find(&mut *tx, id).await? else { return invalid_link(&app) };
    if let Some(email) = subscription.email() {
        let scope = Scope::Product(&subscription.sku);
        refusals::refuse(&mut tx, &app.tokens.mailbox(&email), &email, scope, now).await?;
    }
    subscriptions::unsubscribe(&mut tx, id).await?;
    let refused = refused(&mut *tx, &app, &subscription).await?;
    tx.commit().await?;
    app.pages.show("unsubscribed", Page::of(&app, id, &subscription, refused))
}
