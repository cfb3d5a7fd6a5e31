//! The page behind the link that subscribes from a message about something else: an order that was sold out, or a product that was
//! back in stock. The reader of the address's mail consents by it, so no confirmation mail follows.

use axum::extract::State;
use axum::response::Response;
use broker::Cause;
use events::values::{EmailAddress, Quantity, Sku};
use sqlx::PgConnection;
use time::OffsetDateTime;
use web::{Problem, Query, Traceparent};

use super::{Link, Product, invalid_link};
use crate::api::app::App;
use crate::domain::subscription::Consent;
use crate::domain::tokens::Grant;
use crate::store::consent::{self, ConsentedRequest};
use crate::store::subscriptions::{Request, find, is_in_line};
use crate::store::{products, purchases};

/// Shows the question, or that the address is on the waitlist already.
#[utoipa::path(get, operation_id = "show_joining", path = "/subscriptions/join", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let mut connection = app.outbox.pool().acquire().await?;
    let read = read(&app, &mut connection, &link).await?;
    let Some((consented, product)) = read else { return invalid_link(&app) };
    let in_line = is_in_line(&mut *connection, &consented.request).await?;
    app.pages.show(if in_line { "confirmed" } else { "join" }, product)
}

/// Subscribes. A repeated request changes nothing and shows the same page.
#[utoipa::path(post, operation_id = "join", path = "/subscriptions/join", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid, or not valid any more.", content_type = "text/html", body = String)))]
pub(super) async fn act(
    State(app): State<App>,
    Query(link): Query<Link>,
    trace: Traceparent,
) -> Result<Response, Problem> {
    let mut tx = app.outbox.begin().await?;
    let Some((found, _)) = read(&app, &mut tx, &link).await? else { return invalid_link(&app) };
    consent::lock(&mut tx, &found.request).await?;
    // Again: an erasure may have held the lock.
    let read = read(&app, &mut tx, &link).await?;
    let Some((consented, product)) = read else { return invalid_link(&app) };
    let cause = Cause::traced(Some(trace.0));
    consent::join(&mut tx, &app.tokens, cause, &consented, OffsetDateTime::now_utc()).await?;
    let in_line = is_in_line(&mut *tx, &consented.request).await?;
    tx.commit().await?;
    app.wakes.waves.notify_one();
    app.pages.show(if in_line { "confirmed" } else { "ended" }, product)
}

/// The request of the link; `None` when the address is forgotten, or the product is not sold any more.
async fn read(
    app: &App,
    connection: &mut PgConnection,
    link: &Link,
) -> Result<Option<(ConsentedRequest, Product)>, Problem> {
    let Some(grant) = app.tokens.read(&link.token) else { return Ok(None) };
    let (email, sku, quantity, order) = match grant {
        Grant::Offer(order, sku, quantity) => {
            (purchases::address_of(&mut *connection, order).await?, sku, quantity, Some(order))
        }
        Grant::Again(id) => {
            let Some(subscription) = find(&mut *connection, id).await? else { return Ok(None) };
            let Ok(quantity) = Quantity::try_from(i64::from(subscription.quantity)) else { return Ok(None) };
            let Ok(sku) = subscription.sku.parse::<Sku>() else { return Ok(None) };
            (subscription.email, sku, quantity, None)
        }
        _ => return Ok(None),
    };
    let Some(email) = email.and_then(|email| EmailAddress::from_older(&email).ok()) else { return Ok(None) };
    let Some(name) = products::listed_name(connection, &sku).await? else { return Ok(None) };
    let product = Product { name, sku: sku.to_string(), quantity: quantity.get() };
    let request = Request { email, sku, quantity };
    Ok(Some((ConsentedRequest { request, order, consent: Consent::Link }, product)))
}
