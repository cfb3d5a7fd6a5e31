//! `POST /notifications/resend`

use axum::extract::State;
use events::values::{DeliveryId, DisplayName, OrderId, Sku};
use events::{Channel, NotificationKind};
use serde::{Deserialize, Deserializer, Serialize, de};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Json, Operator, Problem};

use super::app::App;
use crate::delivery::resend::{Outcome, next_chunk};
use crate::store::failed::{Failed, Filter};

/// The failed messages to send again: those that match all given filters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with filters")]
pub(crate) struct Resend {
    /// Messages of this kind.
    kind: Option<NotificationKind>,
    /// Messages of this channel.
    channel: Option<Channel>,
    /// Messages about this order.
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Messages about this product.
    sku: Option<Sku>,
    /// Messages that failed within this time, as `2h`, or since this moment, as `2026-11-25T08:00:00Z`.
    #[serde(default, deserialize_with = "since")]
    #[schema(value_type = Option<String>)]
    since: Option<OffsetDateTime>,
    /// Messages whose cause contains this text, as `5.7.1`.
    #[schema(value_type = Option<String>)]
    cause: Option<DisplayName>,
    /// Report what would happen, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// The `next` of the previous answer.
    cursor: Option<Uuid>,
}

fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| chassis::moment(&text).map_err(de::Error::custom)).transpose()
}

/// The results for at most 500 failed messages, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resent {
    /// Nothing was changed.
    dry_run: bool,
    /// The number of messages that are sent again, or whose subscribers are back on the waitlist.
    armed: usize,
    /// The number of messages that are left as they are.
    left: usize,
    /// The messages.
    items: Vec<Message>,
    /// The cursor of the next request; null when there are no more messages.
    #[schema(required)]
    next: Option<Uuid>,
}

/// A failed message and its result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    kind: NotificationKind,
    channel: String,
    /// Masked, as `a***@example.com`; null when the address is not known.
    #[schema(required)]
    recipient: Option<String>,
    /// Why it failed.
    cause: String,
    outcome: Outcome,
}

/// Sends failed messages again, after the cause of the failure is repaired: at most 500 per request, `next` leads to the others.
/// Sent messages are left, and so are messages to recipients who asked to be forgotten.
#[utoipa::path(post, path = "/notifications/resend", request_body = Resend, security(("bearer" = [])),
    responses((status = 200, body = Resent)))]
pub(crate) async fn resend(
    _operator: Operator,
    State(app): State<App>,
    Json(asked): Json<Resend>,
) -> Result<Json<Resent>, Problem> {
    let Resend { kind, channel, order_id, sku, since, cause, dry_run, cursor } = asked;
    let cause = cause.map(String::from);
    if kind == Some(NotificationKind::Unknown) {
        return Err(Problem::invalid("/kind", "is none of the kinds that notifications have"));
    }
    if channel == Some(Channel::Unknown) {
        return Err(Problem::invalid("/channel", "is neither smtp nor log"));
    }
    let filter = Filter { kind, channel, order_id, sku, since, cause };
    let chunk = next_chunk(&app.outbox, &filter, app.primary, cursor, dry_run).await?;
    let armed = chunk.rows.iter().filter(|(_, outcome)| outcome.is_resent()).count();
    let left = chunk.rows.len() - armed;
    if armed > 0 && !dry_run {
        tracing::info!(resent = armed, left, "failed messages are sent again");
        app.wakes.waves.notify_one();
        app.wakes.senders();
    }
    let items = chunk.rows.into_iter().map(|(row, outcome)| view(&row, outcome)).collect();
    Ok(Json(Resent { dry_run, armed, left, items, next: chunk.next }))
}

fn view(row: &Failed, outcome: Outcome) -> Message {
    Message {
        id: row.id.into(),
        kind: row.content.0.kind(),
        channel: row.channel.clone(),
        recipient: row.recipient(),
        cause: row.cause.clone(),
        outcome,
    }
}
