//! Deliveries: inserted in the transaction that makes a message due, made due sooner, or cancelled.

use std::collections::{BTreeSet, HashMap, HashSet};

use broker::Tx;
use events::Channel;
use events::values::{CustomerId, DeliveryId, EmailAddress, OrderId, Sku, SubscriptionId};
use sqlx::types::Json;
use uuid::Uuid;

use super::column;
use crate::domain::content::Content;
use crate::domain::delivery::{Message, Status};

pub(crate) struct Inserted {
    /// Whether no message was left out.
    pub are_all_new: bool,
    /// Whether some are due.
    pub are_some_due: bool,
    /// The sent ones, by the index of their message.
    pub sent: Vec<(usize, DeliveryId)>,
}

/// Inserts one delivery per message and channel, due now. Messages that an order, or a subscriber for this restock, got already
/// are left out by the unique indexes.
pub(crate) async fn insert(tx: &mut Tx, messages: &[Message], channels: &[Channel]) -> sqlx::Result<()> {
    insert_logged(tx, messages, channels, &BTreeSet::new()).await.map(drop)
}

/// Inserts deliveries like [`insert`], those of the log as sent if their message's index is in `logged`.
pub(crate) async fn insert_logged(
    tx: &mut Tx,
    messages: &[Message],
    channels: &[Channel],
    logged: &BTreeSet<usize>,
) -> sqlx::Result<Inserted> {
    let rows: Vec<(usize, &Message, Channel)> = messages
        .iter()
        .enumerate()
        .flat_map(|(index, message)| channels.iter().map(move |channel| (index, message, *channel)))
        .collect();
    let mut ids: Vec<Uuid> = column(&rows, |(_, message, _)| DeliveryId::new(message.at).uuid());
    // In the order of the events, also within the millisecond that a batch shares.
    ids.sort_unstable();
    let is_sent = column(&rows, |(index, _, channel)| *channel == Channel::Log && logged.contains(index));
    let inserted = sqlx::query_scalar!(
        r#"
        INSERT INTO deliveries (id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data,
                                caused_by, traceparent, status, attempts, version, next_at, finished_at)
        SELECT id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data,
               caused_by, traceparent, CASE WHEN is_sent THEN $13 ELSE $14 END, is_sent::int, is_sent::int,
               CASE WHEN NOT is_sent THEN now() END, CASE WHEN is_sent THEN clock_timestamp() END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::bigint[], $9::jsonb[],
                    $10::uuid[], $11::text[], $12::boolean[])
             AS due (id, kind, channel, order_id, sku, customer_id, subscription_id, restocks, data, caused_by, traceparent, is_sent)
        ORDER BY order_id, subscription_id, kind, channel
        ON CONFLICT DO NOTHING
        RETURNING id
        "#,
        &ids,
        &column(&rows, |(_, message, _)| <&str>::from(message.content.kind())) as &[&str],
        &column(&rows, |(.., channel)| <&str>::from(*channel)) as &[&str],
        &column(&rows, |(_, message, _)| message.content.order_id().map(OrderId::uuid)) as &[Option<Uuid>],
        &column(&rows, |(_, message, _)| message.content.sku().map(Sku::as_str)) as &[Option<&str>],
        &column(&rows, |(_, message, _)| message.customer.map(CustomerId::uuid)) as &[Option<Uuid>],
        &column(&rows, |(_, message, _)| message.content.subscription_id().map(SubscriptionId::uuid))
            as &[Option<Uuid>],
        &column(&rows, |(_, message, _)| message.content.restocks()) as &[Option<i64>],
        &column(&rows, |(_, message, _)| Json(&message.content)) as &[Json<&Content>],
        &column(&rows, |(_, message, _)| message.cause.event_id) as &[Option<Uuid>],
        &column(&rows, |(_, message, _)| message.cause.traceparent.as_deref()) as &[Option<&str>],
        &is_sent,
        Status::Sent.as_str(),
        Status::Pending.as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let are_all_new = inserted.len() == ids.len();
    let inserted: HashSet<Uuid> = inserted.into_iter().collect();
    let sent =
        ids.iter().zip(&rows).zip(is_sent).filter(|((id, _), is_sent)| *is_sent && inserted.contains(id));
    let sent: Vec<_> = sent.map(|((id, (index, ..)), _)| (*index, (*id).into())).collect();
    Ok(Inserted { are_all_new, are_some_due: sent.len() < inserted.len(), sent })
}

/// Returns the addresses of the messages' customers, by order, as far as they are known and no earlier message about the order
/// waits in the queue of the log.
pub(crate) async fn recipients(
    tx: &mut Tx,
    messages: &[Message],
) -> sqlx::Result<HashMap<OrderId, EmailAddress>> {
    let about = messages.iter().filter_map(|message| Some((message.content.order_id()?, message.customer?)));
    let (orders, customers): (Vec<Uuid>, Vec<Uuid>) =
        about.map(|(order, customer)| (order.uuid(), customer.uuid())).unzip();
    let rows = sqlx::query!(
        r#"
        SELECT message.order_id AS "order_id!", email AS "email!"
        FROM unnest($1::uuid[], $2::uuid[]) AS message (order_id, customer_id)
        JOIN contacts ON contacts.customer_id = message.customer_id AND email IS NOT NULL
        WHERE NOT EXISTS (
            SELECT FROM deliveries
            WHERE deliveries.order_id = message.order_id AND channel = $3 AND finished_at IS NULL
            -- Keeps it a lookup per message: as a join it might read a whole index while there are no statistics.
            OFFSET 0)
        "#,
        &orders,
        &customers,
        <&str>::from(Channel::Log),
    );
    let rows = rows.fetch_all(&mut **tx).await?.into_iter();
    let known = rows.map(|row| Some((row.order_id.into(), EmailAddress::from_older(&row.email).ok()?)));
    Ok(known.flatten().collect())
}

/// Writes the customer of deliveries that were inserted before their order was known.
pub(crate) async fn assign(tx: &mut Tx, orders: &[(OrderId, CustomerId)]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE deliveries SET customer_id = known.customer_id, next_at = now()
        FROM unnest($1::uuid[], $2::uuid[]) AS known (order_id, customer_id)
        WHERE deliveries.order_id = known.order_id AND deliveries.customer_id IS NULL AND finished_at IS NULL
        "#,
        &column(orders, |(order, _)| order.uuid()),
        &column(orders, |(_, customer)| customer.uuid()),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Makes due now the deliveries that wait for these customers' contacts, and returns their number.
pub(crate) async fn contacts_arrived(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<u64> {
    let awaited = sqlx::query!(
        // A literal: a generic plan uses a partial index only if its condition is in the statement.
        "UPDATE deliveries SET next_at = now() WHERE status = 'waiting_for_contact' AND customer_id = ANY($1)",
        customers,
    );
    Ok(awaited.execute(&mut **tx).await?.rows_affected())
}

/// Cancels the unsent messages of these subscriptions; one that a worker holds at this moment may still go out. A message that
/// was published as failed and is being sent again fails for good instead: what is published keeps its row.
pub(crate) async fn cancel_unsent(tx: &mut Tx, subscriptions: &[Uuid]) -> sqlx::Result<()> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    let query = sqlx::query!(
        r#"
        WITH published AS (
            UPDATE deliveries SET status = $2, finished_at = now(), next_at = NULL, token = NULL, leased_until = NULL
            WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version > 0
        )
        DELETE FROM deliveries WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version = 0
        "#,
        subscriptions,
        Status::Failed.as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}
