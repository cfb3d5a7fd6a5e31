//! Erasure of a customer, by id or by address.

use axum::extract::State;
use axum::http::StatusCode;
use broker::{Cause, Failure};
use envelope::Event as _;
use events::CustomerEvent;
use events::values::{CustomerId, EmailAddress};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Json, Operator, Path, Problem, Traceparent};

use super::{Api, Room, failed};
use crate::store::customers::{self, Whom};

/// Whom to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email")]
pub(super) struct Erasure {
    email: EmailAddress,
}

/// Erase a customer
///
/// Everyone forgets the address, and other customers that have it (an earlier version took spellings of one address for
/// several customers); the orders stay, without it. Done again it changes nothing. Who orders again with that address is a
/// new customer.
#[utoipa::path(
    delete, path = "/customers/{id}", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id")),
    responses((status = ACCEPTED, description = "Forgotten")),
    security(("bearer" = []))
)]
pub(super) async fn erase_customer(
    _: Operator,
    _: Room,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
    Path(id): Path<CustomerId>,
) -> Result<StatusCode, Problem> {
    if !customers::is_known(api.outbox.pool(), id).await? {
        return Err(Problem::not_found("There is no customer with this id."));
    }
    erase(&api, Whom::Customer(id), traceparent).await
}

/// Erase whoever has an address
///
/// As erasing a customer by id; the address is in the body, so that no log of URLs holds it. Known or not, the answer is
/// the same.
#[utoipa::path(
    post, path = "/erasures", tag = "customers", request_body = Erasure,
    responses((status = ACCEPTED, description = "Forgotten, if known")),
    security(("bearer" = []))
)]
pub(super) async fn erase_address(
    _: Operator,
    _: Room,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
    Json(Erasure { email }): Json<Erasure>,
) -> Result<StatusCode, Problem> {
    erase(&api, Whom::Address(&email), traceparent).await
}

async fn erase(api: &Api, whom: Whom<'_>, traceparent: String) -> Result<StatusCode, Problem> {
    let forget = async {
        let mut tx = api.outbox.begin().await?;
        let erased = customers::erase(&mut tx, whom, OffsetDateTime::now_utc()).await?;
        for (sequence, event) in &erased {
            // While Kafka is away the address would stand in the outbox still.
            tx.withdraw::<CustomerEvent>(&event.key()).await?;
            tx.append(Cause::traced(Some(traceparent.clone())), *sequence, event)?;
        }
        tx.commit().await?;
        Ok::<_, Failure>(erased)
    };
    for (_, event) in forget.await.map_err(failed)? {
        let (customer_id, event_type) = (event.customer_id(), "customer.erased.v1");
        tracing::info!(%customer_id, event_type, traceparent, "customer erased");
    }
    Ok(StatusCode::ACCEPTED)
}
