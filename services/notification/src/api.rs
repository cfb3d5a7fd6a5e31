//! HTTP in and out.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use broker::Outbox;
use events::values::EmailAddress;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, Json, Operator, Problem};

use crate::deliver;
use crate::deliver::letter::Letters;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub outbox: Outbox,
    pub admin: AdminToken,
    pub letters: Arc<Letters>,
}

impl FromRef<App> for AdminToken {
    fn from_ref(app: &App) -> Self {
        app.admin.clone()
    }
}

/// The routes of the service.
pub(crate) fn routes(app: App) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(deliver::api::notifications)).routes(routes!(erase)).with_state(app)
}

/// Whom to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    email: EmailAddress,
}

/// The request is taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Always `accepted`.
    status: &'static str,
}

/// Whether or not there was anything to do, the answer is the same.
pub(crate) const ACCEPTED: (StatusCode, Json<Accepted>) =
    (StatusCode::ACCEPTED, Json(Accepted { status: "accepted" }));

/// Forgets an address in this service: for those who never ordered too. Whoever ordered is to be erased at the order
/// service's door as well. The answer is the same whether or not the address is known.
#[utoipa::path(post, path = "/erasures", request_body = Erasure, security(("bearer" = [])),
    responses((status = 202, body = Accepted)))]
async fn erase(
    _operator: Operator,
    State(app): State<App>,
    Json(erasure): Json<Erasure>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let mut tx = app.outbox.begin().await?;
    let customers = deliver::contacts::erase(&mut tx, &erasure.email).await?;
    deliver::queue::hasten(&mut tx, &customers).await?;
    tx.commit().await?;
    tracing::info!(customers = customers.len(), "erased an address");
    Ok(ACCEPTED)
}
