//! The common state of the HTTP handlers.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::StatusCode;
use broker::Outbox;
use events::Channel;
use serde::Serialize;
use utoipa::ToSchema;
use web::{AdminToken, Json};

use super::html::Pages;
use super::limits::Limits;
use crate::delivery::templates::{MailTemplates, Shop};
use crate::domain::links::Linker;
use crate::wakes::Wakes;

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct App {
    pub outbox: Outbox,
    pub admin: AdminToken,
    pub templates: Arc<MailTemplates>,
    pub pages: Arc<Pages>,
    pub linker: Linker,
    pub shop: Shop,
    pub limits: Arc<Limits>,
    /// The channel that decides whether a subscriber is notified.
    pub primary: Channel,
    pub wakes: Wakes,
}

impl FromRef<App> for AdminToken {
    fn from_ref(app: &App) -> Self {
        app.admin.clone()
    }
}

/// The request is accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Always `accepted`.
    status: &'static str,
}

/// The answer, the same whether or not there was anything to do.
pub(crate) const ACCEPTED: (StatusCode, Json<Accepted>) =
    (StatusCode::ACCEPTED, Json(Accepted { status: "accepted" }));
