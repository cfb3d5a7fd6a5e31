//! `POST /subscriptions`, the endpoint of the form. The answer is the same whether or not the address is known, and nothing counts
//! before its owner has confirmed it.

use axum::extract::State;
use axum::http::StatusCode;
use events::values::{EmailAddress, Quantity, Sku};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::openapi::TooManyRequests;
use web::{ClientAddress, Json, Problem, Traceparent};

use super::app::{ACCEPTED, Accepted, App};
use crate::store::subscriptions::Request;
use crate::store::{products, requests};

/// The largest quantity of the form.
const MAX_QUANTITY: i64 = 1000;

/// A subscription request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email and sku")]
pub(crate) struct Form {
    email: EmailAddress,
    sku: Sku,
    /// The wanted quantity, 1 by default: nobody is notified of fewer units.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    quantity: Option<i64>,
}

impl Form {
    fn request(self) -> Result<Request, Problem> {
        let wanted = self.quantity.unwrap_or(1);
        let quantity = Quantity::try_from(wanted).ok().filter(|_| wanted <= MAX_QUANTITY);
        let quantity = quantity.ok_or_else(|| Problem::invalid("/quantity", "must be from 1 to 1000"))?;
        Ok(Request { email: self.email, sku: self.sku, quantity })
    }
}

/// Requests a message when a product is back in stock. A mail asks the address to confirm; until then nothing counts. A later
/// request for another quantity counts once it is confirmed too. While a confirmation mail is not answered, the next one is sent
/// after 15 minutes at the earliest, and each further one after a pause four times as long, up to a week. An address that has
/// refused such mails gets none. The answer is always the same, and is given before the address is looked up.
#[utoipa::path(post, path = "/subscriptions", request_body = Form,
    responses((status = 202, body = Accepted), (status = 429, response = TooManyRequests)))]
pub(crate) async fn subscribe(
    State(app): State<App>,
    client: ClientAddress,
    trace: Traceparent,
    Json(form): Json<Form>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let request = form.request()?;
    if app.outbox.is_full() {
        return Err(Problem::unavailable("Too many events wait to be published; try again in a moment."));
    }
    app.limits.check(client, &request.email)?;
    if products::listed_name(app.outbox.pool(), &request.sku).await?.is_none() {
        return Err(Problem::invalid("/sku", "is no product that is sold here"));
    }
    // Nothing here may depend on what is known of the address: the worker looks it up after the answer.
    if !requests::insert(app.outbox.pool(), &request, &trace.0, OffsetDateTime::now_utc()).await? {
        return Err(Problem::unavailable("Too many requests wait to be handled; try again in a moment."));
    }
    app.wakes.requests.notify_one();
    Ok(ACCEPTED)
}
