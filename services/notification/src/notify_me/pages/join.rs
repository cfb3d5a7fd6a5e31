//! "Tell me": one click from a message about something else, an order that was sold out or a product that was back.
//! Who reads the address's mail has consented by it; no second question follows.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use events::values::{EmailAddress, Quantity, Sku};
use time::OffsetDateTime;
use web::{Problem, Query};

use super::{About, Link, gone};
use crate::api::App;
use crate::notify_me::standing::{standing, waits};
use crate::notify_me::subscriptions::{self, Consent, Consented, Wish};
use crate::notify_me::tokens::Grant;
use crate::notify_me::{products, purchases};

/// The question, or its answer when it was given already.
#[utoipa::path(get, operation_id = "show_joining", path = "/subscriptions/join", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((joined, about)) = read(&app, &link).await? else { return gone(&app) };
    let waits = waits(app.outbox.pool(), &joined.wish).await?;
    app.pages.show(StatusCode::OK, if waits { "confirmed" } else { "join" }, about)
}

/// The answer. Given again, it changes nothing and shows the same page.
#[utoipa::path(post, operation_id = "join", path = "/subscriptions/join", params(Link),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none, or is over.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Query(link): Query<Link>) -> Result<Response, Problem> {
    let Some((joined, about)) = read(&app, &link).await? else { return gone(&app) };
    let mut tx = app.outbox.begin().await?;
    subscriptions::join(&mut tx, &app.linker.tokens, &joined, OffsetDateTime::now_utc()).await?;
    let waits = waits(&mut *tx, &joined.wish).await?;
    tx.commit().await?;
    app.waves.notify_one();
    app.pages.show(StatusCode::OK, if waits { "confirmed" } else { "ended" }, about)
}

/// Whose wish the link stands for; `None` when it is over: the address is forgotten, or the product is not sold any more.
async fn read(app: &App, link: &Link) -> Result<Option<(Consented, About)>, Problem> {
    let Some(grant) = app.linker.tokens.read(&link.token) else { return Ok(None) };
    let (email, sku, quantity, order) = match grant {
        Grant::Offer(order, sku, quantity) => {
            (purchases::address_of(app.outbox.pool(), order).await?, sku, quantity, Some(order))
        }
        Grant::Again(id) => {
            let Some(standing) = standing(app.outbox.pool(), id).await? else {
                return Ok(None);
            };
            let Ok(quantity) = Quantity::try_from(i64::from(standing.quantity)) else { return Ok(None) };
            let Ok(sku) = standing.sku.parse::<Sku>() else { return Ok(None) };
            (standing.email, sku, quantity, None)
        }
        _ => return Ok(None),
    };
    let Some(email) = email.and_then(|email| EmailAddress::from_older(&email).ok()) else { return Ok(None) };
    let Some(name) = products::listed_name(app.outbox.pool(), &sku).await? else { return Ok(None) };
    let about = About { name, sku: sku.to_string(), quantity: quantity.get() };
    Ok(Some((Consented { wish: Wish { email, sku, quantity }, order, consent: Consent::Link }, about)))
}
