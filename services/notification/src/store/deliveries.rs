//! Deliveries: inserted in the transaction that makes a message due, made due sooner, or cancelled.

use broker::Tx;
use events::Channel;
use events::values::{CustomerId, DeliveryId, OrderId, Sku, SubscriptionId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::{Message, Status};

/// Inserts one delivery per message and channel. Messages that an order, or a subscriber for this restock, got already are left
/// out by the unique indexes. Returns whether all were new.
pub(crate) async fn insert(tx: &mut Tx, messages: &[Message], channels: &[Channel]) -> sqlx::Result<bool> {
    let rows: Vec<(&Message, Channel)> =
        messages.iter().flat_map(|message| channels.iter().map(move |channel| (message, *channel))).collect();
    let mut ids: Vec<Uuid> = rows.iter().map(|(message, _)| DeliveryId::new(message.at).uuid()).collect();
    // In the order of the events, also within the millisecond that a batch shares.
    ids.sort_unstable();
    let kinds: Vec<&str> = rows.iter().map(|(message, _)| <&str>::from(message.content.kind())).collect();
    let names: Vec<&str> = rows.iter().map(|(_, channel)| <&str>::from(*channel)).collect();
    let orders: Vec<Option<Uuid>> =
        rows.iter().map(|(message, _)| message.content.order_id().map(OrderId::uuid)).collect();
    let subscriptions: Vec<Option<Uuid>> =
        rows.iter().map(|(message, _)| message.content.subscription_id().map(SubscriptionId::uuid)).collect();
    let restocks: Vec<Option<i64>> = rows.iter().map(|(message, _)| message.content.restocks()).collect();
    let skus: Vec<Option<&str>> =
        rows.iter().map(|(message, _)| message.content.sku().map(Sku::as_str)).collect();
    let customers: Vec<Option<Uuid>> =
        rows.iter().map(|(message, _)| message.customer.map(CustomerId::uuid)).collect();
    let data: Vec<Json<&Content>> = rows.iter().map(|(message, _)| Json(&message.content)).collect();
    let causes: Vec<Option<Uuid>> = rows.iter().map(|(message, _)| message.cause.event_id).collect();
    let traces: Vec<Option<&str>> =
        rows.iter().map(|(message, _)| message.cause.traceparent.as_deref()).collect();
    let inserted = sqlx::query!(
        r#"
        INSERT INTO deliveries (id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data, next_at,
                                caused_by, traceparent)
        SELECT id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data, now(), caused_by, traceparent
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::bigint[], $9::jsonb[],
                    $10::uuid[], $11::text[])
             AS due (id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data, caused_by, traceparent)
        ORDER BY order_id, subscription_id, kind, channel
        ON CONFLICT DO NOTHING
        "#,
        &ids,
        &kinds as &[&str],
        &names as &[&str],
        &orders as &[Option<Uuid>],
        &skus as &[Option<&str>],
        &customers as &[Option<Uuid>],
        &subscriptions as &[Option<Uuid>],
        &restocks as &[Option<i64>],
        &data as &[Json<&Content>],
        &causes as &[Option<Uuid>],
        &traces as &[Option<&str>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == ids.len() as u64)
}

/// Writes the customer of deliveries that were inserted before their order was known.
pub(crate) async fn assign(tx: &mut Tx, orders: &[(OrderId, CustomerId)]) -> sqlx::Result<()> {
    let (ids, customers): (Vec<Uuid>, Vec<Uuid>) =
        orders.iter().map(|(order, customer)| (order.uuid(), customer.uuid())).unzip();
    sqlx::query!(
        r#"
        UPDATE deliveries SET customer_id = known.customer_id, next_at = now()
        FROM unnest($1::uuid[], $2::uuid[]) AS known (order_id, customer_id)
        WHERE deliveries.order_id = known.order_id AND deliveries.customer_id IS NULL AND finished_at IS NULL
        "#,
        &ids,
        &customers,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes due now the deliveries that wait for these customers' contacts.
pub(crate) async fn contacts_arrived(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deliveries SET next_at = now() WHERE status = $2 AND customer_id = ANY($1)",
        customers,
        Status::WaitingForContact.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Cancels the unsent messages of these subscriptions; one that a worker holds at this moment may still go out. A message that
/// was published as failed and is being sent again fails for good instead: what is published keeps its row.
pub(crate) async fn cancel_unsent(tx: &mut Tx, subscriptions: &[Uuid]) -> sqlx::Result<()> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        WITH published AS (
            UPDATE deliveries SET status = $2, finished_at = now(), next_at = NULL, token = NULL, leased_until = NULL
            WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version > 0
        )
        DELETE FROM deliveries WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version = 0
        "#,
        subscriptions,
        Status::Failed.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
