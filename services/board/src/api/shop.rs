//! The storefront: the products, a product's forms, and an order.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use web::{Path, Problem, Query};

use super::app::App;
use crate::domain::{shown, stations};

/// The most products on the page.
const PRODUCTS: usize = 200;
/// The longest claim that is passed on; a longer one cannot be valid.
const CLAIM: usize = 500;

/// The characters that an address must encode (RFC 3986, all but the unreserved ones).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The payment methods of the form, with what the simulated gateway does.
const CARDS: [(&str, &str); 6] = [
    ("pm_card_visa", "Visa: accepted"),
    ("pm_card_chargeDeclined", "Visa: declined"),
    ("pm_card_chargeDeclinedInsufficientFunds", "Visa: not enough money"),
    ("pm_timeout", "The gateway answers too late"),
    ("pm_flaky", "The gateway fails twice, then works"),
    ("pm_captureFails", "Authorized, but never captured"),
];

/// A link of a mail: it names the product, and the claim by which the order counts as converted.
#[derive(Debug, Deserialize)]
pub(super) struct Linked {
    sku: Option<String>,
    claim: Option<String>,
}

/// `GET /`
pub(super) async fn shop(State(app): State<App>, Query(linked): Query<Linked>) -> Result<Response, Problem> {
    if let Some(sku) = linked.sku {
        return Ok(Redirect::to(&product_url(&sku, linked.claim.as_deref())).into_response());
    }
    let offers = app.live.model().catalogue.offers(PRODUCTS);
    app.pages.show(StatusCode::OK, "shop.html", json!({"offers": offers}))
}

/// The path of a product's page, with the claim.
fn product_url(sku: &str, claim: Option<&str>) -> String {
    let sku = utf8_percent_encode(sku, RESERVED);
    let claim = claim.map(|claim| format!("?claim={}", utf8_percent_encode(claim, RESERVED)));
    format!("/products/{sku}{}", claim.unwrap_or_default())
}

/// `GET /products/{sku}`
pub(super) async fn product(
    State(app): State<App>,
    Path(sku): Path<String>,
    Query(linked): Query<Linked>,
) -> Result<Response, Problem> {
    let offer = app.live.model().catalogue.offer(&sku);
    let Some(offer) = offer else { return app.pages.missing("There is no such product in this shop.") };
    let claim = linked.claim.filter(|claim| claim.len() <= CLAIM);
    app.pages.show(StatusCode::OK, "product.html", json!({"offer": offer, "claim": claim, "cards": CARDS}))
}

/// An order as the page and the stream show it.
pub(super) fn order_content(app: &App, id: &str) -> Value {
    let events = app.live.model().history.about(id);
    json!({"id": id, "stations": stations(&events), "events": shown(&events)})
}

/// `GET /orders/{id}`. An order that was placed a moment ago has no event yet, so an unknown id is not an error.
pub(super) async fn order(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let is_id = id.len() <= 64 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if !is_id {
        return app.pages.missing("This is not the id of an order.");
    }
    app.pages.show(StatusCode::OK, "order.html", order_content(&app, &id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mails_link_leads_to_the_product_whatever_it_contains() {
        assert_eq!(product_url("PEN", Some("a.b")), "/products/PEN?claim=a.b");
        assert_eq!(product_url("//evil.example", None), "/products/%2F%2Fevil.example");
    }
}
