//! "No mails of this kind at all", and "I have changed my mind": what the reader of an address's mail decides about mails
//! that others ask for in its name.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use events::values::SubscriptionId;
use serde::Serialize;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use web::{Problem, Query};

use super::{About, Link, gone};
use crate::api::App;
use crate::notify_me::refusals::{self, Refused, Scope};
use crate::notify_me::standing::{Standing, standing};
use crate::notify_me::tokens::{Grant, Mailbox};

/// What the pages about refusals say, and the tokens of what can be done next.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    #[serde(flatten)]
    about: About,
    /// Every product is refused already.
    all: bool,
    /// To refuse every product.
    refuse: Option<String>,
    /// To take a refusal back.
    lift: Option<String>,
}

impl Page {
    /// The page of a subscription; `None`: its address is not known any more, so nothing can be done for it.
    pub(super) fn of(app: &App, id: SubscriptionId, standing: &Standing, refused: Option<Refused>) -> Self {
        let issue = |grant: Grant| refused.map(|_| app.linker.tokens.issue(&grant));
        Self {
            about: About::of(standing),
            all: refused.is_some_and(|refused| refused.all),
            refuse: issue(Grant::Refuse(id)),
            lift: issue(Grant::Lift(id)),
        }
    }
}

/// What the address of a subscription has refused; `None`: it is not known any more.
pub(super) async fn refused(
    database: impl PgExecutor<'_>,
    app: &App,
    standing: &Standing,
) -> Result<Option<Refused>, Problem> {
    let Some(mailbox) = standing.mailbox(&app.linker.tokens) else { return Ok(None) };
    Ok(Some(refusals::of(database, &mailbox, &standing.sku).await?))
}

/// The question whether to write about no product any more.
#[utoipa::path(get, operation_id = "show_refusal", path = "/subscriptions/refuse", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn show_all(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((id, standing, _)) = read(&app, &link, Wanted::Refuse).await? else { return gone(&app) };
    let refused = refused(app.outbox.pool(), &app, &standing).await?;
    let name = if refused.is_some_and(|refused| refused.all) { "unsubscribed" } else { "refuse" };
    app.pages.show(StatusCode::OK, name, Page::of(&app, id, &standing, refused))
}

/// Ends all subscriptions of the address, and refuses further questions about any product. Done again, it shows the same
/// page.
#[utoipa::path(post, operation_id = "refuse", path = "/subscriptions/refuse", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn act_all(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((id, standing, mailbox)) = read(&app, &link, Wanted::Refuse).await? else { return gone(&app) };
    let mut tx = app.outbox.begin().await?;
    let now = OffsetDateTime::now_utc();
    refusals::refuse(&mut tx, &mailbox, standing.email.as_deref(), Scope::All, now).await?;
    let refused = refused(&mut *tx, &app, &standing).await?;
    tx.commit().await?;
    app.pages.show(StatusCode::OK, "unsubscribed", Page::of(&app, id, &standing, refused))
}

/// The question whether to write again, or that there is nothing to take back.
#[utoipa::path(get, operation_id = "show_lifting", path = "/subscriptions/lift", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn show_lift(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((id, standing, _)) = read(&app, &link, Wanted::Lift).await? else { return gone(&app) };
    let refused = refused(app.outbox.pool(), &app, &standing).await?;
    let name = if refused.is_some_and(Refused::any) { "lift" } else { "lifted" };
    app.pages.show(StatusCode::OK, name, Page::of(&app, id, &standing, refused))
}

/// Takes back what the address has refused of the product, and of all products. Nothing that has ended begins again.
#[utoipa::path(post, operation_id = "lift", path = "/subscriptions/lift", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn act_lift(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((id, standing, mailbox)) = read(&app, &link, Wanted::Lift).await? else { return gone(&app) };
    let mut tx = app.outbox.begin().await?;
    refusals::lift(&mut tx, &mailbox, &standing.sku).await?;
    tx.commit().await?;
    app.pages.show(StatusCode::OK, "lifted", Page::of(&app, id, &standing, Some(Refused::default())))
}

/// Which link is expected.
#[derive(Clone, Copy)]
enum Wanted {
    Refuse,
    Lift,
}

/// The subscription of the link, and its mailbox; `None`: the link is another one, or the address is forgotten.
async fn read(
    app: &App,
    link: &Link,
    wanted: Wanted,
) -> Result<Option<(SubscriptionId, Standing, Mailbox)>, Problem> {
    let ((Some(Grant::Refuse(id)), Wanted::Refuse) | (Some(Grant::Lift(id)), Wanted::Lift)) =
        (app.linker.tokens.read(&link.token), wanted)
    else {
        return Ok(None);
    };
    let Some(standing) = standing(app.outbox.pool(), id).await? else { return Ok(None) };
    let mailbox = standing.mailbox(&app.linker.tokens);
    Ok(mailbox.map(|mailbox| (id, standing, mailbox)))
}
