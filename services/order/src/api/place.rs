//! `POST /orders`.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use events::values::{ClaimHash, EmailAddress, Given, OrderId, PaymentMethod, Quantity, Sku};
use serde::Deserialize;
use utoipa::ToSchema;
use web::idempotency::{Answer, Key};
use web::{ClientAddress, Idempotent, Object, Problem, Traceparent};

use super::{Api, OutboxHasRoom};
use crate::domain::pricing::Wanted;
use crate::group_commit::Request;
use crate::tokens::Tokens;
use crate::view::{Accepted, with_cancel_token};

/// The longest claim, in bytes; no longer one was ever issued.
const LONGEST_CLAIM: usize = 200;

/// An order to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an order: an object with email, items and payment_method")]
pub(super) struct PlaceOrder {
    /// The address for mails about the order.
    email: EmailAddress,
    /// The items; quantities of a SKU that is listed twice are added up. All items have one currency.
    #[schema(value_type = Vec<ItemToOrder>, min_items = 1, max_items = 50)]
    items: ItemsToOrder,
    /// The gateway's name of the payment method. A card number is refused.
    #[schema(value_type = PaymentMethod)]
    payment_method: Given<PaymentMethod>,
    /// Whether to notify the customer when products that turn out to be sold out are back. Ignored for a client with too
    /// many such orders.
    #[serde(default)]
    notify_me: bool,
    /// The claim of a "back in stock" mail's link, if the customer followed one. Opaque; an unknown or overlong one is
    /// ignored.
    #[serde(default)]
    claim: Option<String>,
}

/// A line of an order to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an item: an object with sku and quantity")]
struct ItemToOrder {
    sku: Sku,
    #[schema(value_type = i64, minimum = 1, maximum = 1000)]
    quantity: ItemQuantity,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Object<ItemToOrder>>")]
struct ItemsToOrder(Vec<Object<ItemToOrder>>);

impl TryFrom<Vec<Object<ItemToOrder>>> for ItemsToOrder {
    type Error = &'static str;

    fn try_from(items: Vec<Object<ItemToOrder>>) -> Result<Self, Self::Error> {
        if (1..=50).contains(&items.len()) { Ok(Self(items)) } else { Err("must be 1 to 50 items") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "i64")]
struct ItemQuantity(Quantity);

impl TryFrom<i64> for ItemQuantity {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let quantity = (number <= 1000).then(|| Quantity::try_from(number).ok()).flatten();
        quantity.map(Self).ok_or("must be from 1 to 1000")
    }
}

impl From<PlaceOrder> for Request {
    fn from(order: PlaceOrder) -> Self {
        let wanted = |Object(item): Object<ItemToOrder>| Wanted { sku: item.sku, quantity: item.quantity.0 };
        let claim = order.claim.filter(|claim| (1..=LONGEST_CLAIM).contains(&claim.len()));
        Self {
            email: order.email,
            items: order.items.0.into_iter().map(wanted).collect(),
            payment_method: order.payment_method.0,
            notify_me: order.notify_me,
            claim: claim.map(|claim| ClaimHash::of(&claim)),
        }
    }
}

/// Refuses a client with too many orders. An argument before the body's.
pub(super) struct WithinLimit;

impl FromRequestParts<Api> for WithinLimit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if let Some(limit) = &api.order_limit {
            let client = ClientAddress::from_request_parts(parts, api).await?;
            if !client.is_local() {
                limit.check(&client)?;
            }
        }
        Ok(Self)
    }
}

/// Counts an order with `notify_me`; `false` when the client has too many.
fn may_notify(api: &Api, client: &ClientAddress) -> bool {
    let allowed =
        client.is_local() || api.notify_me_limit.as_ref().is_none_or(|limit| limit.check(client).is_ok());
    if !allowed {
        metrics::counter!("wishes_dropped_total", "reason" => "client_limit").increment(1);
    }
    allowed
}

/// Place an order
///
/// The order is accepted once it is in the database, without any other service. Payment and inventory answer afterwards, so
/// read it at `Location` until it is final. With an `Idempotency-Key`, a repetition within 24 hours gets the same answer,
/// byte for byte, and there is one order; while the first request is in flight, the repetition waits or gets 409.
#[utoipa::path(
    post, path = "/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    request_body = PlaceOrder,
    responses(
        (status = ACCEPTED, body = Accepted, headers(("Location" = String, description = "/orders/{id}"))),
        (status = 429, response = web::openapi::TooManyRequests),
    )
)]
pub(super) async fn place(
    State(api): State<Api>,
    _: WithinLimit,
    _: OutboxHasRoom,
    client: ClientAddress,
    Traceparent(traceparent): Traceparent,
    order: Idempotent<PlaceOrder>,
) -> Result<Response, Problem> {
    let key = match order.key {
        Some(key) => Some(concealed(&api, key).await?),
        None => None,
    };
    let mut request = Request::from(order.value);
    request.notify_me = request.notify_me && may_notify(&api, &client);
    let answer = api.group_commit.place(request, key, traceparent).await?;
    Ok(complete(answer, &api.tokens)?.into_response())
}

/// Returns the key in its stored form. A key that is stored under the previous `TOKEN_KEY` keeps that form; otherwise the
/// same request would place a second order.
async fn concealed(api: &Api, key: Key) -> Result<Key, Problem> {
    if let Some(before) = api.tokens.conceal_with_previous(&key)
        && web::idempotency::is_known(api.outbox.pool(), &before).await?
    {
        return Ok(before);
    }
    Ok(api.tokens.conceal(key))
}

/// Adds the cancel token, which is not stored.
fn complete(stored: Answer, tokens: &Tokens) -> Result<Answer, Problem> {
    let id =
        stored.location().and_then(|location| location.strip_prefix("/orders/")?.parse::<OrderId>().ok());
    let id = id.ok_or_else(|| {
        tracing::error!(location = stored.location(), "a stored answer has no location of an order");
        Problem::internal()
    })?;
    Ok(stored.map_body(|body| with_cancel_token(body, &tokens.cancel(id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &serde_json::Value) -> Result<Request, Vec<String>> {
        let order: Result<PlaceOrder, Problem> = web::json::parse(body.to_string().as_bytes());
        let pointers =
            |problem: Problem| problem.errors().iter().map(|error| error.pointer.clone()).collect();
        order.map(Request::from).map_err(pointers)
    }

    fn with(name: &str, value: serde_json::Value) -> serde_json::Value {
        let mut body = serde_json::json!({
            "email": "Ada@Example.com", "items": [{"sku": "MUG", "quantity": 2}], "payment_method": "pm_card_visa",
        });
        body[name] = value;
        body
    }

    #[test]
    fn a_claim_is_never_a_reason_to_refuse() {
        let claim = |value| read(&with("claim", value)).unwrap().claim;
        assert_eq!(claim("abc".into()), Some(ClaimHash::of("abc")));
        assert_eq!(claim("x".repeat(201).into()), None);
        assert_eq!(claim("".into()), None);
        assert_eq!(claim("a\0b".into()), Some(ClaimHash::of("a\0b")), "it is looked up by its hash alone");
        assert_eq!(claim(serde_json::Value::Null), None);
    }

    #[test]
    fn a_refusal_points_at_the_field() {
        let item = |sku: &str, quantity: i64| serde_json::json!([{"sku": sku, "quantity": quantity}]);
        for (name, value, pointer) in [
            ("email", "nobody".into(), "/email"),
            ("items", serde_json::json!([]), "/items"),
            ("items", serde_json::json!(vec![serde_json::json!({"sku": "A", "quantity": 1}); 51]), "/items"),
            ("items", item("-", 1), "/items/0/sku"),
            ("items", item("A", 0), "/items/0/quantity"),
            ("items", item("A", 1001), "/items/0/quantity"),
            ("email", "a\u{200b}da@example.com".into(), "/email"),
            ("payment_method", "a\u{7}".into(), "/payment_method"),
            ("payment_method", "ada@example.com".into(), "/payment_method"),
            ("payment_method", "4242-4242-4242-4242".into(), "/payment_method"),
            ("notify_me", "yes".into(), "/notify_me"),
            ("coupon", "x".into(), "/coupon"),
        ] {
            assert_eq!(read(&with(name, value)).unwrap_err(), [pointer], "{name}");
        }
    }
}
