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

use super::{Api, OutboxHasRoom};
use crate::store::customers::{self, Erasure};
use crate::view::problem;

/// The address to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email")]
#[schema(as = Erasure)]
pub(super) struct ErasureRequest {
    email: EmailAddress,
}

/// Erase a customer
///
/// All services erase the address, and that of other customers who have it (an earlier version registered a customer per
/// spelling). The orders stay, without the address. A repetition changes nothing. A later order with that address registers
/// a new customer.
#[utoipa::path(
    delete, path = "/customers/{id}", tag = "customers",
    params(("id" = CustomerId, Path, description = "The customer's id")),
    responses((status = ACCEPTED, description = "Erased")),
    security(("bearer" = []))
)]
pub(super) async fn erase_customer(
    _: Operator,
    _: OutboxHasRoom,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
    Path(id): Path<CustomerId>,
) -> Result<StatusCode, Problem> {
    if !customers::is_known(api.outbox.pool(), id).await? {
        return Err(Problem::not_found("There is no customer with this id."));
    }
    erase(&api, Erasure::Customer(id), traceparent).await
}

/// Erase a customer by address
///
/// Like the erasure by id; the address is in the body, so that no log of URLs holds it. The answer is the same for an
/// unknown address.
#[utoipa::path(
    post, path = "/erasures", tag = "customers", request_body = ErasureRequest,
    responses((status = ACCEPTED, description = "Erased, if known")),
    security(("bearer" = []))
)]
pub(super) async fn erase_address(
    _: Operator,
    _: OutboxHasRoom,
    State(api): State<Api>,
    Traceparent(traceparent): Traceparent,
    Json(ErasureRequest { email }): Json<ErasureRequest>,
) -> Result<StatusCode, Problem> {
    erase(&api, Erasure::Address(&email), traceparent).await
}

async fn erase(api: &Api, erasure: Erasure<'_>, traceparent: String) -> Result<StatusCode, Problem> {
    let erase = async {
        let mut tx = api.outbox.begin().await?;
        let erased = customers::erase(&mut tx, erasure, OffsetDateTime::now_utc()).await?;
        for (sequence, event) in &erased {
            // While Kafka is down, the address would otherwise stay in the outbox.
            tx.withdraw::<CustomerEvent>(&event.key()).await?;
            tx.append(Cause::traced(Some(traceparent.clone())), *sequence, event)?;
        }
        tx.commit().await?;
        Ok::<_, Failure>(erased)
    };
    for (_, event) in erase.await.map_err(problem)? {
        let (customer_id, event_type) = (event.customer_id(), event.ce_type());
        tracing::info!(%customer_id, event_type, traceparent, "customer erased");
    }
    Ok(StatusCode::ACCEPTED)
}
