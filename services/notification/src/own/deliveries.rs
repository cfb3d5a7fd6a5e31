//! Rolls deliveries forward to their published events.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{CustomerId, DeliveryId, OrderId, Sku, SubscriptionId};
use events::{Channel, Delivery, DeliveryFailed, NotificationKind};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::content;
use crate::domain::content::Content;
use crate::domain::delivery::{Message, Status};
use crate::store::{column, sequence};

/// A delivery that an event reports as sent or failed.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub id: DeliveryId,
    pub kind: NotificationKind,
    pub channel: Channel,
    pub order: Option<OrderId>,
    pub sku: Option<Sku>,
    pub subscription: Option<SubscriptionId>,
    pub restocks: Option<i64>,
    pub content: Option<Content>,
    /// Why it failed; `None` when it was sent.
    pub cause: Option<String>,
    pub at: OffsetDateTime,
    pub version: Sequence,
}

impl Finished {
    pub(super) fn sent(sent: &Delivery, version: Sequence, at: OffsetDateTime) -> Self {
        let content = content::of(sent);
        let Delivery { delivery_id: id, kind, channel, order_id: order, sku, .. } = sent.clone();
        let (subscription, restocks) = (sent.subscription_id, sent.restocks);
        Self { id, kind, channel, order, sku, subscription, restocks, content, cause: None, at, version }
    }

    pub(super) fn failed(failed: &DeliveryFailed, version: Sequence, at: OffsetDateTime) -> Self {
        Self { cause: Some(failed.cause.clone()), ..Self::sent(&failed.delivery, version, at) }
    }

    fn status(&self) -> Status {
        if self.cause.is_some() { Status::Failed } else { Status::Sent }
    }
}

/// Locks these deliveries and returns their versions; those that do not exist are absent.
pub(super) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<BTreeMap<DeliveryId, Sequence>> {
    let rows =
        sqlx::query!("SELECT id, version FROM deliveries WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), sequence(row.version))).collect())
}

/// Finishes deliveries as their events say, and inserts those that the database does not have.
pub(super) async fn save(tx: &mut Tx, finished: &BTreeMap<DeliveryId, Finished>) -> sqlx::Result<()> {
    if finished.is_empty() {
        return Ok(());
    }
    let finished: Vec<&Finished> = finished.values().collect();
    finish(tx, &finished).await?;
    delete_duplicates(tx, &finished).await?;
    insert(tx, &finished).await
}

async fn finish(tx: &mut Tx, finished: &[&Finished]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE deliveries
        SET status = finished.status, cause = finished.cause, attempts = GREATEST(attempts, 1), finished_at = finished.at,
            next_at = NULL, token = NULL, leased_until = NULL, version = finished.version,
            restocks = CASE WHEN deliveries.restocks IS NULL THEN NULL
                            ELSE COALESCE(finished.restocks, deliveries.restocks) END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[])
             AS finished (id, status, cause, at, version, restocks)
        WHERE deliveries.id = finished.id AND deliveries.version < finished.version
        "#,
        &column(finished, |row| row.id.uuid()),
        &column(finished, |row| row.status().as_str()) as &[&str],
        &column(finished, |row| row.cause.as_deref()) as &[Option<&str>],
        &column(finished, |row| row.at),
        &column(finished, |row| row.version.to_i64()),
        &column(finished, |row| row.restocks) as &[Option<i64>],
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Deletes the unsent second message about an order, made before the database was rolled forward.
async fn delete_duplicates(tx: &mut Tx, finished: &[&Finished]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        DELETE FROM deliveries
        USING unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS finished (id, kind, channel, order_id)
        WHERE deliveries.order_id = finished.order_id AND deliveries.kind = finished.kind
          AND deliveries.channel = finished.channel AND deliveries.id <> finished.id AND finished_at IS NULL
        "#,
        &column(finished, |row| row.id.uuid()),
        &column(finished, |row| <&str>::from(row.kind)) as &[&str],
        &column(finished, |row| <&str>::from(row.channel)) as &[&str],
        &column(finished, |row| row.order.map(OrderId::uuid)) as &[Option<Uuid>],
    );
    query.execute(&mut **tx).await.map(drop)
}

async fn insert(tx: &mut Tx, finished: &[&Finished]) -> sqlx::Result<()> {
    let whole: Vec<(&Finished, &Content)> =
        finished.iter().filter_map(|row| Some((*row, row.content.as_ref()?))).collect();
    // The mark in the data: the message cannot be sent again before its full content is known (`complete`).
    let query = sqlx::query!(
        r#"
        INSERT INTO deliveries (id, kind, channel, status, cause, finished_at, version, restocks, order_id, sku,
                                subscription_id, data, created_at, attempts)
        SELECT id, kind, channel, status, cause, at, version, restocks, order_id, sku,
               subscription_id, data || '{"recovered": true}', at, 1
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[],
                    $8::bigint[], $9::uuid[], $10::text[], $11::uuid[], $12::jsonb[])
             AS finished (id, kind, channel, status, cause, at, version, restocks, order_id, sku, subscription_id, data)
        ORDER BY id
        ON CONFLICT DO NOTHING
        "#,
        &column(&whole, |(row, _)| row.id.uuid()),
        &column(&whole, |(row, _)| <&str>::from(row.kind)) as &[&str],
        &column(&whole, |(row, _)| <&str>::from(row.channel)) as &[&str],
        &column(&whole, |(row, _)| row.status().as_str()) as &[&str],
        &column(&whole, |(row, _)| row.cause.as_deref()) as &[Option<&str>],
        &column(&whole, |(row, _)| row.at),
        &column(&whole, |(row, _)| row.version.to_i64()),
        &column(&whole, |(row, _)| row.restocks) as &[Option<i64>],
        &column(&whole, |(row, _)| row.order.map(OrderId::uuid)) as &[Option<Uuid>],
        &column(&whole, |(row, _)| row.sku.as_ref().map(Sku::as_str)) as &[Option<&str>],
        &column(&whole, |(row, _)| row.subscription.map(SubscriptionId::uuid)) as &[Option<Uuid>],
        &column(&whole, |(_, content)| Json(*content)) as &[Json<&Content>],
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Writes the full content of messages about orders into the rows that were made from the log alone, when the orders' events are
/// read again.
pub(crate) async fn complete(tx: &mut Tx, messages: &[Message]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE deliveries SET data = due.data, customer_id = due.customer_id
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::jsonb[]) AS due (order_id, kind, customer_id, data)
        WHERE deliveries.order_id = due.order_id AND deliveries.kind = due.kind AND deliveries.data ? 'recovered'
        "#,
        &column(messages, |message| message.content.order_id().map(OrderId::uuid)) as &[Option<Uuid>],
        &column(messages, |message| <&str>::from(message.content.kind())) as &[&str],
        &column(messages, |message| message.customer.map(CustomerId::uuid)) as &[Option<Uuid>],
        &column(messages, |message| Json(&message.content)) as &[Json<&Content>],
    );
    query.execute(&mut **tx).await.map(drop)
}
