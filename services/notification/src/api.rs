//! HTTP in and out: the routes, what their handlers share, and erasure; the rooms have the rest.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::{Method, StatusCode, header};
use axum::routing::options;
use broker::Outbox;
use events::Channel;
use events::values::EmailAddress;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{AdminToken, Json, Operator, Origins, Problem};

use crate::deliver;
use crate::deliver::templates::{MailTemplates, Shop};
use crate::notify_me::limits::Limits;
use crate::notify_me::links::Linker;
use crate::notify_me::pages::{self, Pages};
use crate::notify_me::{erasure, report, subscribe};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub outbox: Outbox,
    pub admin: AdminToken,
    pub letters: Arc<MailTemplates>,
    pub pages: Arc<Pages>,
    pub linker: Linker,
    pub shop: Shop,
    pub limits: Arc<Limits>,
    pub channels: Arc<[Channel]>,
    /// Wakes the senders.
    pub senders: Arc<[Arc<Notify>]>,
    /// Wakes the waves.
    pub waves: Arc<Notify>,
    /// Wakes the worker that looks at wishes.
    pub wishes: Arc<Notify>,
}

impl App {
    pub(crate) fn wake_senders(&self) {
        for sender in self.senders.iter() {
            sender.notify_one();
        }
    }
}

impl FromRef<App> for AdminToken {
    fn from_ref(app: &App) -> Self {
        app.admin.clone()
    }
}

/// The routes of the service. Pages of `origins` may post the form.
pub(crate) fn routes(app: App, origins: &Origins) -> OpenApiRouter {
    let mut form = OpenApiRouter::new().routes(routes!(subscribe::subscribe));
    if !origins.is_empty() {
        // The layer answers a browser's preflight by itself, where there is a route for it.
        form = form
            .route("/subscriptions", options(async || StatusCode::NO_CONTENT))
            .layer(origins.layer(&[Method::POST], &[header::CONTENT_TYPE]));
    }
    OpenApiRouter::new()
        .routes(routes!(deliver::api::notifications))
        .routes(routes!(deliver::resend::resend))
        .routes(routes!(report::notify_me))
        .routes(routes!(erase))
        .merge(pages::routes())
        .merge(form)
        .with_state(app)
}

/// Whom to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with email")]
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
    Json(wanted): Json<Erasure>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let mut tx = app.outbox.begin().await?;
    let customers = deliver::contacts::lock(&mut tx, &wanted.email).await?;
    erasure::erase(&mut tx, &[wanted.email.expose()], &customers).await?;
    deliver::contacts::erase(&mut tx, &customers).await?;
    deliver::queue::hasten(&mut tx, &customers).await?;
    tx.commit().await?;
    tracing::info!(customers = customers.len(), "erased an address");
    Ok(ACCEPTED)
}
