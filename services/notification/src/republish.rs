//! Rebuilds the events of `notifications` from deliveries and subscriptions, to publish again what the topic has lost.
//!
//! A row stores its last event. The earlier ones of a message that failed and was sent again, and of a subscription that was
//! confirmed more than once, cannot be rebuilt.

use broker::{Cause, Failure, Tx};
use broker_ops::{Past, Rebuild, Rebuilt, UuidPage};
use events::values::OrderId;
use events::{Channel, NotificationEvent, SubscriptionConfirmed, SubscriptionConverted};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::{self, Status, Verdict};
use crate::domain::subscription;
use crate::store::{sequence, undecodable};

/// The topic `notifications`.
pub(crate) struct Notifications;

impl Rebuild for Notifications {
    type Event = NotificationEvent;

    async fn rebuild(&self, tx: &mut Tx, page: UuidPage) -> Result<Vec<Rebuilt<NotificationEvent>>, Failure> {
        // In the order in which all transactions lock.
        let mut rebuilt = subscriptions(tx, &page).await?;
        rebuilt.extend(deliveries(tx, &page).await?);
        rebuilt.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        rebuilt.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
        Ok(rebuilt)
    }
}

/// The messages that were sent or given up. An unfinished one is being sent again.
async fn deliveries(tx: &mut Tx, page: &UuidPage) -> sqlx::Result<Vec<Rebuilt<NotificationEvent>>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, data AS "content: Json<Content>", channel, status, cause, finished_at, version, caused_by, traceparent
        FROM deliveries
        WHERE version > 0
          AND ($1::uuid[] IS NULL OR id = ANY ($1))
          AND ($2::timestamptz IS NULL OR finished_at >= $2)
          AND NOT ($3 AND finished_at IS NOT NULL)
          AND id > $4
        ORDER BY id LIMIT $5 FOR UPDATE
        "#,
        page.keys.as_deref(),
        page.since,
        page.unfinished,
        page.after,
        page.limit,
    );
    let rows = rows.fetch_all(&mut **tx).await?.into_iter().map(|row| {
        let verdict = match row.status.parse::<Status>().map_err(undecodable)? {
            Status::Sent => Some(Verdict::Sent),
            Status::Failed => Some(Verdict::Failed(row.cause.unwrap_or_default())),
            Status::Pending | Status::WaitingForContact => None,
        };
        let event = verdict.and_then(|verdict| {
            let channel = row.channel.parse().unwrap_or(Channel::Unknown);
            delivery::event(row.id.into(), &row.content.0, channel, &verdict)
        });
        let cause = Cause { event_id: row.caused_by, traceparent: row.traceparent };
        let events = event.zip(row.finished_at).map(|(event, at)| past(row.version, at, cause, event));
        Ok(Rebuilt {
            key: row.id.to_string(),
            version: sequence(row.version),
            events: events.into_iter().collect(),
        })
    });
    rows.collect()
}

/// The subscriptions that were confirmed, and perhaps converted. An unfinished one has not expired.
async fn subscriptions(tx: &mut Tx, page: &UuidPage) -> sqlx::Result<Vec<Rebuilt<NotificationEvent>>> {
    let rows = sqlx::query_as!(
        Subscription,
        r#"
        SELECT id, sku, quantity, order_id, GREATEST(created_at, consented_at, activated_at) AS "confirmed_at!",
               converted_at, converted_by, claim, units, version
        FROM subscriptions
        WHERE version > 0
          AND ($1::uuid[] IS NULL OR id = ANY ($1))
          AND ($2::timestamptz IS NULL OR GREATEST(created_at, consented_at, activated_at, converted_at) >= $2)
          AND (NOT $3 OR state = ANY($6))
          AND id > $4
        ORDER BY id LIMIT $5 FOR UPDATE
        "#,
        page.keys.as_deref(),
        page.since,
        page.unfinished,
        page.after,
        page.limit,
        &subscription::Status::unexpired() as &[&str],
    );
    rows.fetch_all(&mut **tx).await?.into_iter().map(Subscription::rebuilt).collect()
}

struct Subscription {
    id: Uuid,
    sku: String,
    quantity: i32,
    order_id: Option<Uuid>,
    confirmed_at: OffsetDateTime,
    converted_at: Option<OffsetDateTime>,
    converted_by: Option<Uuid>,
    /// Under the current `TOKEN_KEY`.
    claim: String,
    units: Option<i64>,
    version: i64,
}

impl Subscription {
    fn rebuilt(self) -> sqlx::Result<Rebuilt<NotificationEvent>> {
        let subscription_id = self.id.into();
        let sku: events::values::Sku = self.sku.parse().map_err(undecodable)?;
        let quantity = i64::from(self.quantity).try_into().map_err(undecodable)?;
        let mut events = Vec::new();
        let mut last = self.version;
        if let (Some(at), Some(order), Some(units)) = (self.converted_at, self.converted_by, self.units) {
            let (sku, order_id) = (sku.clone(), order.into());
            let claim = self.claim.try_into().map_err(undecodable)?;
            let event = SubscriptionConverted { subscription_id, sku, order_id, claim, units };
            let event = NotificationEvent::SubscriptionConverted(event);
            events.push(past(last, at, Cause::default(), event));
            last -= 1;
        }
        // The quantity is that of the last confirmation.
        if last > 0 {
            let order_id = self.order_id.map(OrderId::from);
            let event = SubscriptionConfirmed { subscription_id, sku, quantity, order_id };
            let event = NotificationEvent::SubscriptionConfirmed(event);
            events.insert(0, past(last, self.confirmed_at, Cause::default(), event));
        }
        Ok(Rebuilt { key: self.id.to_string(), version: sequence(self.version), events })
    }
}

fn past(number: i64, at: OffsetDateTime, cause: Cause, event: NotificationEvent) -> Past<NotificationEvent> {
    Past { sequence: sequence(number), at, cause, event }
}
