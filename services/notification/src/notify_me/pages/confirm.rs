//! "Yes, tell me": the answer to the first mail.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use broker::Cause;
use time::OffsetDateTime;
use web::{Problem, Query, Traceparent};

use super::{About, Link, gone};
use crate::api::App;
use crate::notify_me::standing::{Standing, standing};
use crate::notify_me::subscriptions::{self, Answer};
use crate::notify_me::tokens::Grant;

/// The question, or its answer when it was given already.
#[utoipa::path(get, operation_id = "show_confirmation", path = "/subscriptions/confirm", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((answer, until)) = read(&app, &link) else { return gone(&app) };
    let standing = standing(app.outbox.pool(), answer.subscription).await?;
    let Some(standing) = standing else { return gone(&app) };
    if is_open(&standing, answer) {
        if until < OffsetDateTime::now_utc() {
            return gone(&app);
        }
        let about = About { quantity: answer.quantity.get(), ..About::of(&standing) };
        return app.pages.show(StatusCode::OK, "confirm", about);
    }
    answered(&app, &standing)
}

/// The answer. Given again, it changes nothing and shows the same page.
#[utoipa::path(post, operation_id = "confirm", path = "/subscriptions/confirm", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn act(
    State(app): State<App>,
    Query(link): Query<Link>,
    trace: Traceparent,
) -> Result<Response, Problem> {
    let Some((answer, until)) = read(&app, &link) else { return gone(&app) };
    let mut tx = app.outbox.begin().await?;
    if until >= OffsetDateTime::now_utc() {
        subscriptions::confirm(&mut tx, &app.linker.tokens, Cause::traced(Some(trace.0)), answer).await?;
    }
    let Some(standing) = standing(&mut *tx, answer.subscription).await? else {
        return gone(&app);
    };
    tx.commit().await?;
    app.waves.notify_one();
    if is_open(&standing, answer) { gone(&app) } else { answered(&app, &standing) }
}

fn read(app: &App, link: &Link) -> Option<(Answer, OffsetDateTime)> {
    match app.linker.tokens.read(&link.token)? {
        Grant::Confirm(subscription, round, quantity, until) => {
            Some((Answer { subscription, round, quantity }, until))
        }
        _ => None,
    }
}

/// Whether the answer would change anything.
fn is_open(standing: &Standing, answer: Answer) -> bool {
    let own = standing.id == answer.subscription.uuid();
    standing.state == "pending"
        || (standing.state == "waiting"
            && (standing.by_order || (own && standing.confirmed_round < answer.round)))
}

fn answered(app: &App, standing: &Standing) -> Result<Response, Problem> {
    let page = match standing.state.as_str() {
        "waiting" | "notified" | "converted" | "bought" => "confirmed",
        _ => "ended",
    };
    app.pages.show(StatusCode::OK, page, About::of(standing))
}
