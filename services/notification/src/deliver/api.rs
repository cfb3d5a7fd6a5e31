//! What the operator can ask of deliveries.

use std::sync::Arc;

use axum::extract::State;
use events::values::{DeliveryId, OrderId, Sku};
use events::{Channel, NotificationKind};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Json, Operator, Page, Paging, PagingParams, Problem, Query};

use super::content::kind_name;
use super::list::{self, Filter, Row};
use super::templates::MailTemplates;
use crate::api::App;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// To be sent, or to be tried again.
    Pending,
    /// The recipient's address is not known yet.
    WaitingForContact,
    /// Accepted by the channel.
    Sent,
    /// Given up; `cause` says why.
    Failed,
}

/// A message on one channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notification {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    kind: NotificationKind,
    status: Status,
    channel: Channel,
    /// Masked, as `a***@example.com`; null while it is not known, and once it was erased.
    #[schema(required)]
    recipient: Option<String>,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<Sku>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<OffsetDateTime>,
    attempts: i32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// Which messages; all that are given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Those about this order.
    #[param(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Those about this product.
    sku: Option<Sku>,
    /// Those of this kind.
    kind: Option<NotificationKind>,
    /// Those that stand here.
    status: Option<Status>,
}

impl Wanted {
    fn filter(self) -> Result<Filter, Problem> {
        if self.kind == Some(NotificationKind::Unknown) {
            return Err(Problem::parameter("kind", "is none of those that notifications have"));
        }
        let status = self.status.map(|status| match status {
            Status::Pending => "pending",
            Status::WaitingForContact => "waiting_for_contact",
            Status::Sent => "sent",
            Status::Failed => "failed",
        });
        Ok(Filter { order_id: self.order_id, sku: self.sku, kind: self.kind.map(kind_name), status })
    }
}

/// The messages, the newest first: a row a message and channel.
#[utoipa::path(get, path = "/notifications", params(Wanted, PagingParams), security(("bearer" = [])),
    responses((status = 200, body = Page<Notification>)))]
pub(crate) async fn notifications(
    _operator: Operator,
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
    paging: Paging<Uuid>,
) -> Result<Json<Page<Notification>>, Problem> {
    let filter = wanted.filter()?;
    let rows = list::deliveries(app.outbox.pool(), &filter, paging.after, paging.rows()).await?;
    Ok(Json(paging.page(rows, |row| row.id).map(|row| view(row, &app.letters))))
}

fn view(row: Row, letters: &Arc<MailTemplates>) -> Notification {
    let content = &row.content.0;
    let status = match row.status.as_str() {
        "sent" => Status::Sent,
        "failed" => Status::Failed,
        "waiting_for_contact" => Status::WaitingForContact,
        _ => Status::Pending,
    };
    Notification {
        id: row.id.into(),
        kind: content.kind(),
        status,
        channel: if row.channel == "smtp" { Channel::Smtp } else { Channel::Log },
        recipient: row.recipient(),
        subject: letters.text(content).map(|text| text.subject).unwrap_or_default(),
        order_id: content.order_id(),
        sku: content.sku().cloned(),
        created_at: row.created_at,
        sent_at: row.finished_at.filter(|_| matches!(status, Status::Sent)),
        attempts: row.attempts,
        cause: row.cause,
    }
}
