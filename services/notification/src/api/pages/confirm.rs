//! The page behind the link of a confirmation mail.

use axum::extract::State;
use axum::response::Response;
use broker::Cause;
use time::OffsetDateTime;
use web::{Problem, Query, Traceparent};

use super::{Link, Product, invalid_link};
use crate::api::app::App;
use crate::domain::subscription::Status;
use crate::domain::tokens::Grant;
use crate::store::confirmations;
use crate::store::consent::{self, Answer};
use crate::store::subscriptions::{Subscription, find};

/// Shows the question, or the answer that was given already.
#[utoipa::path(get, operation_id = "show_confirmation", path = "/subscriptions/confirm", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((answer, until)) = read(&app, &link) else { return invalid_link(&app) };
    let found = find(app.outbox.pool(), answer.subscription).await?;
    let Some(subscription) = found else { return invalid_link(&app) };
    if !is_open(&subscription, answer) {
        return answered(&app, &subscription);
    }
    if confirmations::has_ended(app.outbox.pool(), until).await? {
        return invalid_link(&app);
    }
    let product = Product { quantity: answer.quantity.get(), ..Product::of(&subscription) };
    app.pages.show("confirm", product)
}

/// Confirms the subscription. A repeated answer changes nothing and shows the same page.
#[utoipa::path(post, operation_id = "confirm", path = "/subscriptions/confirm", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn act(
    State(app): State<App>,
    Query(link): Query<Link>,
    trace: Traceparent,
) -> Result<Response, Problem> {
    let Some((answer, until)) = read(&app, &link) else { return invalid_link(&app) };
    let mut tx = app.outbox.begin().await?;
    if !confirmations::has_ended(&mut *tx, until).await? {
        consent::confirm(&mut tx, &app.tokens, Cause::traced(Some(trace.0)), answer).await?;
    }
    let found = find(&mut *tx, answer.subscription).await?;
    let Some(subscription) = found else { return invalid_link(&app) };
    tx.commit().await?;
    app.wakes.waves.notify_one();
    if is_open(&subscription, answer) { invalid_link(&app) } else { answered(&app, &subscription) }
}

fn read(app: &App, link: &Link) -> Option<(Answer, OffsetDateTime)> {
    match app.tokens.read(&link.token)? {
        Grant::Confirm(subscription, round, quantity, until) => {
            Some((Answer { subscription, round, quantity }, until))
        }
        _ => None,
    }
}

/// The answer would change something.
fn is_open(subscription: &Subscription, answer: Answer) -> bool {
    let own = subscription.id == answer.subscription.uuid();
    match subscription.status {
        Status::Pending => true,
        Status::Waiting => subscription.by_order || (own && subscription.confirmed_round < answer.round),
        _ => false,
    }
}

fn answered(app: &App, subscription: &Subscription) -> Result<Response, Problem> {
    let page = match subscription.status {
        Status::Waiting | Status::Notified | Status::Converted | Status::Bought => "confirmed",
        Status::Pending | Status::Lapsed | Status::Unsubscribed | Status::Erased | Status::Merged => "ended",
    };
    app.pages.show(page, Product::of(subscription))
}
