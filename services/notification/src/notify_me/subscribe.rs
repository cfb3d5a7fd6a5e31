//! The door of the form: "tell me when it is back". The answer is the same whether or not the address is known here,
//! and nothing counts before its owner has confirmed it.

use axum::extract::State;
use axum::http::StatusCode;
use broker::Cause;
use events::values::{EmailAddress, Quantity, Sku};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::openapi::TooManyRequests;
use web::{ClientAddress, Json, Problem, Traceparent};

use super::products;
use super::subscriptions::{self, CONFIRM_WITHIN, Question, Wish};
use crate::api::{ACCEPTED, Accepted, App};
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;
use crate::deliver::queue;

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
/// again for another quantity, that one counts once it is confirmed too. The answer is always the same.
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
    let Some(name) = products::listed_name(app.outbox.pool(), &wish.sku).await? else {
        return Err(Problem::invalid("/sku", "is no product that is sold here"));
    };
    let now = OffsetDateTime::now_utc();
    let mut tx = app.outbox.begin().await?;
    if let Some(question) = subscriptions::ask(&mut tx, &app.linker.tokens, &wish, now).await? {
        let due = put(&question, wish, name, Cause::traced(Some(trace.0)), now);
        queue::insert(&mut tx, &[due], &app.channels).await?;
    }
    tx.commit().await?;
    app.wake_senders();
    Ok(ACCEPTED)
}

fn put(question: &Question, wish: Wish, name: String, cause: Cause, now: OffsetDateTime) -> Due {
    let content = Content::ConfirmSubscription {
        subscription_id: question.subscription,
        sku: wish.sku,
        name,
        quantity: wish.quantity,
        round: question.round,
        until: now + CONFIRM_WITHIN,
    };
    Due { content, customer: None, cause, at: now }
}
