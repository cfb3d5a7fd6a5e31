//! The pages that refuse every mail of this kind, and that take refusals back: the owner of an address decides about mails that
//! others request in the owner's name.

use axum::extract::State;
use axum::response::Response;
use events::values::{EmailAddress, SubscriptionId};
use serde::Serialize;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use web::{Problem, Query};

use super::{Link, Product, invalid_link};
use crate::api::app::App;
use crate::domain::tokens::Grant;
use crate::store::refusals::{self, Refused, Scope};
use crate::store::subscriptions::{Subscription, find};

/// The content of the pages about refusals, with the tokens of the possible next steps.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    #[serde(flatten)]
    product: Product,
    /// Every product is refused already.
    all: bool,
    /// Refuses every product.
    refuse: Option<String>,
    /// Takes the refusals back.
    lift: Option<String>,
}

impl Page {
    /// The page of a subscription; `refused` is `None` when its address is not known any more, so that no step is possible.
    pub(super) fn of(
        app: &App,
        id: SubscriptionId,
        subscription: &Subscription,
        refused: Option<Refused>,
    ) -> Self {
        let issue = |grant: Grant| refused.map(|_| app.tokens.issue(&grant));
        Self {
            product: Product::of(subscription),
            all: refused.is_some_and(|refused| refused.all),
            refuse: issue(Grant::Refuse(id)),
            lift: issue(Grant::Lift(id)),
        }
    }
}

/// The refusals of a subscription's address; `None` when the address is not known any more.
pub(super) async fn refused(
    database: impl PgExecutor<'_>,
    app: &App,
    subscription: &Subscription,
) -> Result<Option<Refused>, Problem> {
    let Some(mailbox) = subscription.mailbox(&app.tokens) else { return Ok(None) };
    Ok(Some(refusals::of(database, &mailbox, &subscription.sku).await?))
}

/// Shows the question whether to stop mails about every product.
#[utoipa::path(get, operation_id = "show_refusal", path = "/subscriptions/refuse", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn show_all(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Refuse(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let Some((subscription, _)) = addressed(&app, id).await? else { return invalid_link(&app) };
    let refused = refused(app.outbox.pool(), &app, &subscription).await?;
    let name = if refused.is_some_and(|refused| refused.all) { "unsubscribed" } else { "refuse" };
    app.pages.show(name, Page::of(&app, id, &subscription, refused))
}

/// Ends all subscriptions of the address, and refuses mails about every product. A repeated request shows the same page.
#[utoipa::path(post, operation_id = "refuse", path = "/subscriptions/refuse", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn act_all(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Refuse(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let Some((subscription, email)) = addressed(&app, id).await? else { return invalid_link(&app) };
    let mut tx = app.outbox.begin().await?;
    let now = OffsetDateTime::now_utc();
    refusals::refuse(&mut tx, &app.tokens.mailbox(&email), &email, Scope::All, now).await?;
    let refused = refused(&mut *tx, &app, &subscription).await?;
    tx.commit().await?;
    app.pages.show("unsubscribed", Page::of(&app, id, &subscription, refused))
}

/// Shows the question whether to allow the mails again, or that nothing is refused.
#[utoipa::path(get, operation_id = "show_lifting", path = "/subscriptions/lift", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn show_lift(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Lift(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let Some((subscription, _)) = addressed(&app, id).await? else { return invalid_link(&app) };
    let refused = refused(app.outbox.pool(), &app, &subscription).await?;
    let name = if refused.is_some_and(Refused::any) { "lift" } else { "lifted" };
    app.pages.show(name, Page::of(&app, id, &subscription, refused))
}

/// Takes back the refusals of the product and of every product. No ended subscription begins again.
#[utoipa::path(post, operation_id = "lift", path = "/subscriptions/lift", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn act_lift(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some(Grant::Lift(id)) = app.tokens.read(&link.token) else { return invalid_link(&app) };
    let Some((subscription, email)) = addressed(&app, id).await? else { return invalid_link(&app) };
    let mut tx = app.outbox.begin().await?;
    refusals::lift(&mut tx, &app.tokens.mailbox(&email), &subscription.sku).await?;
    tx.commit().await?;
    app.pages.show("lifted", Page::of(&app, id, &subscription, Some(Refused::default())))
}

/// The subscription and its address; `None` when that is forgotten.
async fn addressed(app: &App, id: SubscriptionId) -> Result<Option<(Subscription, EmailAddress)>, Problem> {
    let Some(subscription) = find(app.outbox.pool(), id).await? else { return Ok(None) };
    let email = subscription.email();
    Ok(email.map(|email| (subscription, email)))
}
