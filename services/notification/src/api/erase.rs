//! `POST /erasures`

use axum::extract::State;
use axum::http::StatusCode;
use events::values::EmailAddress;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Json, Operator, Problem};

use super::app::{ACCEPTED, Accepted, App};
use crate::store::{contacts, deliveries, erasure};

/// The address to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email")]
pub(super) struct Erasure {
    email: EmailAddress,
}

/// Forgets an address in this service, also one that never ordered. An address that ordered must be erased at the order service
/// too. The answer is the same whether or not the address is known.
#[utoipa::path(post, path = "/erasures", request_body = Erasure, security(("bearer" = [])),
    responses((status = 202, body = Accepted)))]
pub(super) async fn erase(
    _operator: Operator,
    State(app): State<App>,
    Json(wanted): Json<Erasure>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let mut tx = app.outbox.begin().await?;
    let customers = contacts::lock(&mut tx, &wanted.email).await?;
    erasure::erase(&mut tx, &[wanted.email.expose()], &customers).await?;
    contacts::erase(&mut tx, &customers).await?;
    deliveries::contacts_arrived(&mut tx, &customers).await?;
    tx.commit().await?;
    tracing::info!(customers = customers.len(), "erased an address");
    Ok(ACCEPTED)
}
