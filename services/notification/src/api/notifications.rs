//! `GET /notifications`

use axum::extract::State;
use events::values::{DeliveryId, OrderId, Sku};
use events::{Channel, NotificationKind};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{Json, Operator, Page, Paging, PagingParams, Problem, Query};

use super::app::App;
use crate::delivery::templates::MailTemplates;
use crate::domain::delivery::Status;
use crate::store::list::{self, Filter, Row};

/// A message on one channel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Notification {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    kind: NotificationKind,
    status: Status,
    channel: Channel,
    /// Masked, as `a***@example.com`; null while the address is not known, and after an erasure.
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

/// The filters; a message matches all that are given.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Messages about this order.
    #[param(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Messages about this product.
    sku: Option<Sku>,
    /// Messages of this kind.
    kind: Option<NotificationKind>,
    /// Messages with this status.
    status: Option<Status>,
}

impl Wanted {
    fn filter(self) -> Result<Filter, Problem> {
        if self.kind == Some(NotificationKind::Unknown) {
            return Err(Problem::parameter("kind", "is none of the kinds that notifications have"));
        }
        let kind = self.kind.map(<&str>::from);
        Ok(Filter { order_id: self.order_id, sku: self.sku, kind, status: self.status })
    }
}

/// Lists the messages, the newest first: one row per message and channel.
#[utoipa::path(get, path = "/notifications", params(Wanted, PagingParams), security(("bearer" = [])),
    responses((status = 200, body = Page<Notification>)))]
pub(super) async fn notifications(
    _operator: Operator,
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
    paging: Paging<Uuid>,
) -> Result<Json<Page<Notification>>, Problem> {
    let filter = wanted.filter()?;
    let rows = list::deliveries(app.outbox.pool(), &filter, paging.after, paging.rows()).await?;
    let page = paging.page(rows, |row| row.id);
    Ok(Json(page.map(|row| view(row, &app.templates))))
}

fn view(row: Row, templates: &MailTemplates) -> Notification {
    let content = &row.content.0;
    Notification {
        id: row.id.into(),
        kind: content.kind(),
        status: row.status,
        channel: row.channel.parse().unwrap_or(Channel::Unknown),
        recipient: row.recipient(),
        subject: templates.text(content).map(|text| text.subject).unwrap_or_default(),
        order_id: content.order_id(),
        sku: content.sku().cloned(),
        created_at: row.created_at,
        sent_at: row.finished_at.filter(|_| row.status == Status::Sent),
        attempts: row.attempts,
        cause: row.cause,
    }
}
