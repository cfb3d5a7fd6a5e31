//! The door of the form: "tell me when it is back". The answer is the same whether or not the address is known here,
//! and nothing counts before its owner has confirmed it.

use axum::extract::State;
use axum::http::StatusCode;
use events::values::{EmailAddress, Quantity, Sku};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::openapi::TooManyRequests;
use web::{ClientAddress, Json, Problem, Traceparent};

use super::subscriptions::Wish;
use super::{products, wishes};
use crate::api::{ACCEPTED, Accepted, App};

/// The most that a form may ask for.
const MOST: i64 = 1000;

/// Who wants to be told of what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email and sku")]
pub(crate) struct Form {
    email: EmailAddress,
    sku: Sku,
    /// How many are wanted: nobody is told of fewer. One, unless it says otherwise.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    quantity: Option<i64>,
}

impl Form {
    fn wish(self) -> Result<Wish, Problem> {
        let wanted = self.quantity.unwrap_or(1);
        let quantity = Quantity::try_from(wanted).ok().filter(|_| wanted <= MOST);
        let quantity = quantity.ok_or_else(|| Problem::invalid("/quantity", "must be from 1 to 1000"))?;
        Ok(Wish { email: self.email, sku: self.sku, quantity })
    }
}

/// Asks to be told when a product is back. A mail to the address asks for confirmation; until then nothing counts. Asked
/// again for another quantity, that one counts once it is confirmed too. While a question is open, the next one is put
/// after 15 minutes at the earliest, and each further one after a pause four times as long, up to a week. An address that
/// has refused such mails is not asked. The answer is always the same, and is given before the address is looked at.
#[utoipa::path(post, path = "/subscriptions", request_body = Form,
    responses((status = 202, body = Accepted), (status = 429, response = TooManyRequests)))]
pub(crate) async fn subscribe(
    State(app): State<App>,
    client: ClientAddress,
    trace: Traceparent,
    Json(form): Json<Form>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let wish = form.wish()?;
    if app.outbox.is_full() {
        return Err(Problem::unavailable("Too much is waiting to be told; try again in a moment."));
    }
    app.limits.check(client, &wish.email)?;
    if products::listed_name(app.outbox.pool(), &wish.sku).await?.is_none() {
        return Err(Problem::invalid("/sku", "is no product that is sold here"));
    }
    // Nothing here may depend on what is known of the address: the worker finds that out after the answer.
    if !wishes::take(app.outbox.pool(), &wish, &trace.0, OffsetDateTime::now_utc()).await? {
        return Err(Problem::unavailable("Too many wishes wait to be looked at; try again in a moment."));
    }
    app.wishes.notify_one();
    Ok(ACCEPTED)
}
