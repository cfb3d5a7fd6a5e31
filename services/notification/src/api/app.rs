//! The common state of the HTTP handlers.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::StatusCode;
use broker::Outbox;
use events::Channel;
use events::values::EmailAddress;
use serde::Serialize;
use utoipa::ToSchema;
use web::{AdminToken, ClientAddress, Json, Limit, Problem};

use super::html::Pages;
use crate::delivery::templates::{MailTemplates, Shop};
use crate::domain::tokens::Tokens;
use crate::wakes::Wakes;

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct App {
    pub outbox: Outbox,
    pub admin: AdminToken,
    pub templates: Arc<MailTemplates>,
    pub pages: Arc<Pages>,
    pub tokens: Tokens,
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

/// Limits of the form, in requests per hour; `None` for no limit. One address cannot be subscribed to everything, and one client
/// cannot subscribe everybody.
pub(crate) struct Limits {
    clients: Option<Limit<ClientAddress>>,
    mailboxes: Option<Limit<EmailAddress>>,
}

impl Limits {
    /// The limits per client and per mailbox; 0 for no limit.
    pub(crate) fn new(per_client: u32, per_mailbox: u32) -> Self {
        Self {
            clients: NonZeroU32::new(per_client).map(Limit::per_hour),
            mailboxes: NonZeroU32::new(per_mailbox).map(Limit::per_hour),
        }
    }

    /// Counts a request; the 429 when it is over a limit. It counts calls, not what is stored of the address, so the answer
    /// reveals nothing about it.
    pub(crate) fn check(&self, client: ClientAddress, address: &EmailAddress) -> Result<(), Problem> {
        self.clients.as_ref().map_or(Ok(()), |limit| limit.check(&client))?;
        self.mailboxes.as_ref().map_or(Ok(()), |limit| limit.check(&address.mailbox()))
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
