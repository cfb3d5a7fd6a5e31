//! The deliveries in the database: made due by a transaction, claimed by a worker (`claims`), settled by what the attempt came
//! to.

use broker::{Cause, Outbox, Tx};
use envelope::Sequence;
use events::Channel;
use events::values::{CustomerId, DeliveryId, OrderId, Sku, SubscriptionId};
use sqlx::types::Json;
use uuid::Uuid;

use super::content::{Content, channel_name, kind_name};
use super::delivery::{self, Delivery, Due, TOO_MANY, Verdict};
use crate::notify_me::outcome;

/// Writes a delivery a message and channel. What an order, or a subscriber of a restock, was told
/// already is left out: the schema knows it. Returns whether all were new.
pub(crate) async fn insert(tx: &mut Tx, due: &[Due], channels: &[Channel]) -> sqlx::Result<bool> {
    let rows: Vec<(&Due, Channel)> =
        due.iter().flat_map(|due| channels.iter().map(move |channel| (due, *channel))).collect();
    let mut ids: Vec<Uuid> = rows.iter().map(|(due, _)| DeliveryId::new(due.at).uuid()).collect();
    // In the order of the events, also within the millisecond that a batch shares.
    ids.sort_unstable();
    let kinds: Vec<&str> = rows.iter().map(|(due, _)| kind_name(due.content.kind())).collect();
    let names: Vec<&str> = rows.iter().map(|(_, channel)| channel_name(*channel)).collect();
    let orders: Vec<Option<Uuid>> =
        rows.iter().map(|(due, _)| due.content.order_id().map(OrderId::uuid)).collect();
    let subscriptions: Vec<Option<Uuid>> =
        rows.iter().map(|(due, _)| due.content.subscription_id().map(SubscriptionId::uuid)).collect();
    let restocks: Vec<Option<i64>> = rows.iter().map(|(due, _)| due.content.restocks()).collect();
    let skus: Vec<Option<&str>> = rows.iter().map(|(due, _)| due.content.sku().map(Sku::as_str)).collect();
    let customers: Vec<Option<Uuid>> =
        rows.iter().map(|(due, _)| due.customer.map(CustomerId::uuid)).collect();
    let data: Vec<Json<&Content>> = rows.iter().map(|(due, _)| Json(&due.content)).collect();
    let causes: Vec<Option<Uuid>> = rows.iter().map(|(due, _)| due.cause.event_id).collect();
    let traces: Vec<Option<&str>> = rows.iter().map(|(due, _)| due.cause.traceparent.as_deref()).collect();
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

/// Tells deliveries that were made due before their order was known whose they are.
pub(crate) async fn belong(tx: &mut Tx, orders: &[(OrderId, CustomerId)]) -> sqlx::Result<()> {
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

/// Makes what waits for these contacts due now.
pub(crate) async fn hasten(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deliveries SET next_at = now() WHERE status = 'waiting_for_contact' AND customer_id = ANY($1)",
        customers,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A delivery whose verdict was written: its claim still held.
struct Settled {
    id: Uuid,
    version: i64,
    caused_by: Option<Uuid>,
    traceparent: Option<String>,
}

/// Writes what became of claimed deliveries, with the events that tell it, and returns those whose claim still held.
/// `tells`: a subscriber counts as told when this channel has accepted the message.
pub(crate) async fn settle(
    outbox: &Outbox,
    channel: Channel,
    tells: bool,
    verdicts: &[(&Delivery, Verdict)],
) -> sqlx::Result<Vec<DeliveryId>> {
    let mut tx = outbox.begin().await?;
    outcome::lock(&mut tx, verdicts).await?;
    let settled = write(&mut tx, verdicts).await?;
    if tells {
        let held =
            |(delivery, _): &&(&Delivery, Verdict)| settled.iter().any(|row| row.id == delivery.id.uuid());
        outcome::apply(&mut tx, verdicts.iter().filter(held)).await?;
    }
    for row in &settled {
        let id = DeliveryId::from(row.id);
        let Some((delivery, verdict)) = verdicts.iter().find(|(delivery, _)| delivery.id == id) else {
            continue;
        };
        let Some(event) = delivery::event(delivery.id, &delivery.content, channel, verdict) else { continue };
        let cause = Cause { event_id: row.caused_by, traceparent: row.traceparent.clone() };
        let sequence = Sequence::from_i64(row.version).unwrap_or_default();
        tx.append(cause, sequence, &event).map_err(|error| sqlx::Error::Encode(error.into()))?;
    }
    tx.commit().await?;
    Ok(settled.into_iter().map(|row| row.id.into()).collect())
}

async fn write(tx: &mut Tx, verdicts: &[(&Delivery, Verdict)]) -> sqlx::Result<Vec<Settled>> {
    let mut verdicts: Vec<_> = verdicts.iter().collect();
    verdicts.sort_unstable_by_key(|(delivery, _)| delivery.id);
    let ids: Vec<Uuid> = verdicts.iter().map(|(delivery, _)| delivery.id.uuid()).collect();
    let tokens: Vec<Uuid> = verdicts.iter().map(|(delivery, _)| delivery.token).collect();
    let deferred: Vec<bool> = verdicts
        .iter()
        .map(|(_, verdict)| matches!(verdict, Verdict::Deferred(..) | Verdict::Waiting(_)))
        .collect();
    // Without a known address a delivery was not tried, and not counted against its mailbox's limit.
    let put_off: Vec<bool> = verdicts
        .iter()
        .map(|(_, verdict)| matches!(verdict, Verdict::PutOff(_) | Verdict::Waiting(_)))
        .collect();
    let (mut statuses, mut causes, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
    for (_, verdict) in verdicts {
        let (status, cause, pause) = match verdict {
            Verdict::Sent => ("sent", None, None),
            Verdict::Failed(cause) => ("failed", Some(cause.as_str()), None),
            Verdict::Again(pause, cause) | Verdict::Deferred(pause, cause) => {
                ("pending", Some(cause.as_str()), Some(pause.as_secs_f64()))
            }
            Verdict::Waiting(pause) => ("waiting_for_contact", None, Some(pause.as_secs_f64())),
            Verdict::PutOff(pause) => ("pending", Some(TOO_MANY), Some(pause.as_secs_f64())),
            Verdict::Held => ("pending", None, None),
        };
        statuses.push(status);
        causes.push(cause);
        pauses.push(pause);
    }
    sqlx::query_as!(
        Settled,
        r#"
        UPDATE deliveries
        SET status = verdict.status, cause = verdict.cause, token = NULL, leased_until = NULL,
            next_at = now() + make_interval(secs => verdict.pause), deferrals = deferrals + verdict.deferred::int,
            -- It was not tried: the next time is its first again, and counts against the limit.
            attempts = CASE WHEN verdict.put_off THEN 0 ELSE attempts END,
            finished_at = CASE WHEN verdict.status IN ('sent', 'failed') THEN now() END,
            version = version + CASE WHEN verdict.status IN ('sent', 'failed') THEN 1 ELSE 0 END
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::boolean[], $7::boolean[])
             AS verdict (id, token, status, cause, pause, deferred, put_off)
        WHERE deliveries.id = verdict.id AND deliveries.token = verdict.token
        RETURNING deliveries.id, version, caused_by, traceparent
        "#,
        &ids,
        &tokens,
        &statuses as &[&str],
        &causes as &[Option<&str>],
        &pauses as &[Option<f64>],
        &deferred,
        &put_off,
    )
    .fetch_all(&mut **tx)
    .await
}
