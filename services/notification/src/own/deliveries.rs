//! Deliveries as their published events have them.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{CustomerId, DeliveryId, OrderId, Sku, SubscriptionId};
use events::{Channel, DeliveryFailed, DeliverySent, NotificationKind};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::content;
use crate::deliver::content::{Content, channel_name, kind_name};
use crate::deliver::delivery::Due;

/// What an event tells of a delivery.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub id: DeliveryId,
    pub kind: NotificationKind,
    pub channel: Channel,
    pub order: Option<OrderId>,
    pub sku: Option<Sku>,
    pub subscription: Option<SubscriptionId>,
    pub restocks: Option<i64>,
    pub content: Option<Content>,
    /// Why it was given up; `None`: it was sent.
    pub cause: Option<String>,
    pub at: OffsetDateTime,
    pub version: Sequence,
}

impl Told {
    pub(super) fn sent(sent: &DeliverySent, version: Sequence, at: OffsetDateTime) -> Self {
        let content = content::of_sent(sent);
        let DeliverySent { delivery_id: id, kind, channel, order_id: order, sku, .. } = sent.clone();
        let (subscription, restocks) = (sent.subscription_id, sent.restocks);
        Self { id, kind, channel, order, sku, subscription, restocks, content, cause: None, at, version }
    }

    pub(super) fn failed(failed: &DeliveryFailed, version: Sequence, at: OffsetDateTime) -> Self {
        let content = content::of_failed(failed);
        let DeliveryFailed { delivery_id: id, kind, channel, order_id: order, sku, cause, .. } =
            failed.clone();
        let (subscription, restocks, cause) = (failed.subscription_id, failed.restocks, Some(cause));
        Self { id, kind, channel, order, sku, subscription, restocks, content, cause, at, version }
    }
}

/// The versions of these deliveries, locked; those that do not exist are absent.
pub(super) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<BTreeMap<DeliveryId, Sequence>> {
    let rows =
        sqlx::query!("SELECT id, version FROM deliveries WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
            .fetch_all(&mut **tx)
            .await?;
    let version = |version| Sequence::from_i64(version).unwrap_or_default();
    Ok(rows.into_iter().map(|row| (row.id.into(), version(row.version))).collect())
}

/// Ends deliveries as they have ended, and adds those that the database does not have.
pub(super) async fn save(tx: &mut Tx, told: &BTreeMap<DeliveryId, Told>) -> sqlx::Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    end(tx, told).await?;
    make_room(tx, told).await?;
    insert(tx, told).await
}

async fn end(tx: &mut Tx, told: &BTreeMap<DeliveryId, Told>) -> sqlx::Result<()> {
    let Columns { ids, statuses, causes, times, versions, restocks, .. } = Columns::of(told.values());
    sqlx::query!(
        r#"
        UPDATE deliveries
        SET status = told.status, cause = told.cause, attempts = GREATEST(attempts, 1), finished_at = told.at,
            next_at = NULL, token = NULL, leased_until = NULL, version = told.version,
            restocks = CASE WHEN deliveries.restocks IS NULL THEN NULL
                            ELSE COALESCE(told.restocks, deliveries.restocks) END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[])
             AS told (id, status, cause, at, version, restocks)
        WHERE deliveries.id = told.id AND deliveries.version < told.version
        "#,
        &ids,
        &statuses as &[&str],
        &causes as &[Option<&str>],
        &times,
        &versions,
        &restocks as &[Option<i64>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes what was made due of an order a second time, before the database was rolled forward, and is not sent yet.
async fn make_room(tx: &mut Tx, told: &BTreeMap<DeliveryId, Told>) -> sqlx::Result<()> {
    let Columns { ids, kinds, channels, orders, .. } = Columns::of(told.values());
    sqlx::query!(
        r#"
        DELETE FROM deliveries
        USING unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS told (id, kind, channel, order_id)
        WHERE deliveries.order_id = told.order_id AND deliveries.kind = told.kind
          AND deliveries.channel = told.channel AND deliveries.id <> told.id AND finished_at IS NULL
        "#,
        &ids,
        &kinds as &[&str],
        &channels as &[&str],
        &orders as &[Option<Uuid>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert(tx: &mut Tx, told: &BTreeMap<DeliveryId, Told>) -> sqlx::Result<()> {
    let whole = told.values().filter(|told| told.content.is_some());
    let columns = Columns::of(whole.clone());
    let skus: Vec<Option<&str>> = whole.clone().map(|told| told.sku.as_ref().map(Sku::as_str)).collect();
    let subscriptions: Vec<Option<Uuid>> =
        whole.clone().map(|told| told.subscription.map(SubscriptionId::uuid)).collect();
    let data: Vec<Json<&Content>> = whole.filter_map(|told| told.content.as_ref().map(Json)).collect();
    // Marked in its data: there is nothing to send again before its words are there (`complete`).
    sqlx::query!(
        r#"
        INSERT INTO deliveries (id, kind, channel, status, cause, finished_at, version, restocks, order_id, sku,
                                subscription_id, data, created_at, attempts)
        SELECT id, kind, channel, status, cause, at, version, restocks, order_id, sku,
               subscription_id, data || '{"recovered": true}', at, 1
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[],
                    $8::bigint[], $9::uuid[], $10::text[], $11::uuid[], $12::jsonb[])
             AS told (id, kind, channel, status, cause, at, version, restocks, order_id, sku, subscription_id, data)
        ORDER BY id
        ON CONFLICT DO NOTHING
        "#,
        &columns.ids,
        &columns.kinds as &[&str],
        &columns.channels as &[&str],
        &columns.statuses as &[&str],
        &columns.causes as &[Option<&str>],
        &columns.times,
        &columns.versions,
        &columns.restocks as &[Option<i64>],
        &columns.orders as &[Option<Uuid>],
        &skus as &[Option<&str>],
        &subscriptions as &[Option<Uuid>],
        &data as &[Json<&Content>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what orders are told into the rows that were made from the log alone, when the events that led to them are read
/// again.
pub(crate) async fn complete(tx: &mut Tx, due: &[Due]) -> sqlx::Result<()> {
    let orders: Vec<Option<Uuid>> = due.iter().map(|due| due.content.order_id().map(OrderId::uuid)).collect();
    let kinds: Vec<&str> = due.iter().map(|due| kind_name(due.content.kind())).collect();
    let customers: Vec<Option<Uuid>> = due.iter().map(|due| due.customer.map(CustomerId::uuid)).collect();
    let data: Vec<Json<&Content>> = due.iter().map(|due| Json(&due.content)).collect();
    sqlx::query!(
        r#"
        UPDATE deliveries SET data = due.data, customer_id = due.customer_id
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::jsonb[]) AS due (order_id, kind, customer_id, data)
        WHERE deliveries.order_id = due.order_id AND deliveries.kind = due.kind AND deliveries.data ? 'recovered'
        "#,
        &orders as &[Option<Uuid>],
        &kinds as &[&str],
        &customers as &[Option<Uuid>],
        &data as &[Json<&Content>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What events tell of deliveries, by column.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    channels: Vec<&'static str>,
    orders: Vec<Option<Uuid>>,
    restocks: Vec<Option<i64>>,
    statuses: Vec<&'static str>,
    causes: Vec<Option<&'a str>>,
    times: Vec<OffsetDateTime>,
    versions: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(told: impl Iterator<Item = &'a Told>) -> Self {
        let mut columns = Self::default();
        for told in told {
            columns.ids.push(told.id.uuid());
            columns.kinds.push(kind_name(told.kind));
            columns.channels.push(channel_name(told.channel));
            columns.orders.push(told.order.map(OrderId::uuid));
            columns.restocks.push(told.restocks);
            columns.statuses.push(if told.cause.is_some() { "failed" } else { "sent" });
            columns.causes.push(told.cause.as_deref());
            columns.times.push(told.at);
            columns.versions.push(told.version.to_i64());
        }
        columns
    }
}
