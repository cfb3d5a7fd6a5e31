//! `POST /notifications/resend`

use axum::extract::State;
use events::values::{DeliveryId, DisplayName, OrderId, Sku};
use events::{Channel, NotificationKind};
use serde::{Deserialize, Deserializer, Serialize, de};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Json, Operator, Problem};

use super::{Failed, Outcome, Wanted, next_chunk};
use crate::api::App;

/// Which failed messages to send again; all filters that are given must fit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with filters")]
pub(crate) struct Resend {
    /// Those of this kind.
    #[serde(default)]
    kind: Option<NotificationKind>,
    /// Those of this channel.
    #[serde(default)]
    channel: Option<Channel>,
    /// Those about this order.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Those about this product.
    #[serde(default)]
    sku: Option<Sku>,
    /// Those that failed in the last while, as `2h`, or since a moment, as `2026-11-25T08:00:00Z`.
    #[serde(default, deserialize_with = "since")]
    #[schema(value_type = Option<String>)]
    since: Option<OffsetDateTime>,
    /// Those whose cause has this in it, as `5.7.1`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    cause: Option<DisplayName>,
    /// Only say what would come of it.
    #[serde(default)]
    dry_run: bool,
    /// The `next` of the answer before: goes on behind it.
    #[serde(default)]
    cursor: Option<Uuid>,
}

fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| chassis::moment(&text).map_err(de::Error::custom)).transpose()
}

/// What came, or would come, of at most 500 failed messages, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resent {
    /// Nothing was changed.
    dry_run: bool,
    /// How many are sent again, or wait for their turn again.
    armed: usize,
    /// How many are left as they are.
    left: usize,
    /// Each of them.
    items: Vec<Message>,
    /// There are more: where the next request goes on.
    #[schema(required)]
    next: Option<Uuid>,
}

/// A failed message, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    kind: NotificationKind,
    channel: String,
    /// Masked, as `a***@example.com`; null when it is not known.
    #[schema(required)]
    recipient: Option<String>,
    /// Why it had failed.
    cause: String,
    outcome: Outcome,
}

/// Sends failed messages again, once what made them fail is repaired: at most 500 with one request, `next` leads to the
/// others. What was sent is left, and so are messages to those who asked to be forgotten.
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
        return Err(Problem::invalid("/kind", "is none of those that notifications have"));
    }
    if channel == Some(Channel::Unknown) {
        return Err(Problem::invalid("/channel", "is neither smtp nor log"));
    }
    let wanted = Wanted { kind, channel, order_id, sku, since, cause };
    let tells = app.channels.last().copied().unwrap_or(Channel::Log);
    let chunk = next_chunk(&app.outbox, &wanted, tells, cursor, dry_run).await?;
    let armed = chunk.rows.iter().filter(|(_, outcome)| outcome.is_armed()).count();
    let left = chunk.rows.len() - armed;
    if armed > 0 && !dry_run {
        tracing::info!(armed, left, "failed messages are sent again");
        app.waves.notify_one();
        app.wake_senders();
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
