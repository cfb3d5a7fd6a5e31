//! Claims: a worker takes deliveries that are due, and keeps them while it sends.

use std::time::Duration;

use events::Channel;
use events::values::EmailAddress;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::undecodable;
use crate::domain::content::Content;
use crate::domain::delivery::{Delivery, Recipient, Tries};
use crate::domain::subscription::Status;

pub(crate) struct Claim {
    pub channel: Channel,
    pub token: Uuid,
    pub lease: Duration,
    /// In the order in which they are claimed.
    pub classes: Vec<Class>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A person caused the message and waits for it.
    Personal,
    /// A wave sends it: the product is back in stock.
    Bulk,
}

/// Claims at most `limit` deliveries that are due, class by class, the longest due first, each with its recipient as known now.
/// The messages about one order keep their order: a delivery waits for the one before it. `OFFSET 0` keeps that a lookup per
/// delivery, as in [`recipients`](super::deliveries::recipients).
pub(crate) async fn claim(
    connection: &mut PgConnection,
    claim: &Claim,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    let rows = sqlx::query!(
        r#"
        WITH quick AS (
            -- A claim that a power cut loses is made again: no need to wait for the disk.
            SELECT set_config('synchronous_commit', 'off', true)
        ), due AS MATERIALIZED (
            -- Lazily: the second class is read only as far as the first leaves room.
            SELECT found.id
            FROM unnest($5::boolean[]) AS class (bulk)
            CROSS JOIN LATERAL (
                SELECT id FROM deliveries AS candidate
                WHERE channel = $1 AND (kind = 'back_in_stock') = class.bulk AND next_at <= now()
                  AND (leased_until IS NULL OR leased_until <= now() OR leased_until > now() + make_interval(secs => $6))
                  AND NOT EXISTS (
                      SELECT FROM deliveries AS before
                      WHERE before.order_id = candidate.order_id AND before.channel = $1
                        AND before.id < candidate.id AND before.finished_at IS NULL
                      OFFSET 0)
                ORDER BY next_at, id
                LIMIT $3
                FOR UPDATE SKIP LOCKED) AS found
            LIMIT $3
        ), claimed AS (
            UPDATE deliveries SET token = $2, leased_until = now() + make_interval(secs => $4), attempts = attempts + 1
            FROM due, quick WHERE deliveries.id = due.id
            RETURNING deliveries.id, traceparent, data, attempts, deferrals, order_id, customer_id, subscription_id, kind, deliveries.sku
        )
        SELECT claimed.id AS "id!", claimed.traceparent, data AS "data!: Json<Content>", attempts AS "attempts!", deferrals AS "deferrals!",
               COALESCE(subscriptions.email, contacts.email) AS "email?", contacts.erased_at IS NOT NULL AS "erased!",
               state AS "state?",
               kind = 'back_in_stock' AND (COALESCE(available, 0) < quantity OR NOT COALESCE(listed, false) OR EXISTS (
                   SELECT FROM standing_purchases WHERE standing_purchases.subscription_id = subscriptions.id)) AS "unavailable?",
               (data ->> 'until')::timestamptz <= now() AS "expired?"
        FROM claimed
        LEFT JOIN subscriptions ON subscriptions.id = claimed.subscription_id
        LEFT JOIN stock ON stock.sku = claimed.sku
        LEFT JOIN products ON products.sku = claimed.sku
        LEFT JOIN orders ON orders.order_id = claimed.order_id AND claimed.customer_id IS NULL
        LEFT JOIN contacts ON contacts.customer_id = COALESCE(claimed.customer_id, orders.customer_id)
        ORDER BY claimed.id
        "#,
        <&str>::from(claim.channel),
        claim.token,
        limit,
        claim.lease.as_secs_f64(),
        &are_bulk(&claim.classes),
        work::furthest(claim.lease).as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let deliveries = rows.into_iter().map(|row| {
        let status = row.state.map(|state| state.parse::<Status>()).transpose().map_err(undecodable)?;
        Ok(Delivery {
            id: row.id.into(),
            content: row.data.0,
            tries: Tries { attempts: count(row.attempts), deferrals: count(row.deferrals) },
            recipient: recipient(row.email, row.erased || status == Some(Status::Erased)),
            sold_out: row.unavailable.unwrap_or(false) && status == Some(Status::Waiting),
            expired: row.expired.unwrap_or(false),
            over_limit: false,
            traceparent: row.traceparent,
            token: claim.token,
        })
    });
    deliveries.collect()
}

fn are_bulk(classes: &[Class]) -> Vec<bool> {
    classes.iter().map(|class| *class == Class::Bulk).collect()
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn recipient(email: Option<String>, erased: bool) -> Recipient {
    match email.map(|email| EmailAddress::from_older(&email)) {
        Some(Ok(address)) => Recipient::Known(address),
        None if erased => Recipient::Erased,
        // The table holds parsed addresses only.
        Some(Err(_)) | None => Recipient::Unknown,
    }
}

/// Extends a claim to `lease` from now; `false` when it is not valid any more.
pub(crate) async fn renew(pool: &PgPool, delivery: &Delivery, lease: Duration) -> sqlx::Result<bool> {
    let renewed = sqlx::query!(
        "UPDATE deliveries SET leased_until = now() + make_interval(secs => $3) WHERE id = $1 AND token = $2",
        delivery.id.uuid(),
        delivery.token,
        lease.as_secs_f64(),
    );
    Ok(renewed.execute(pool).await?.rows_affected() > 0)
}

/// Makes due now the deliveries of `channel` that are due later than `bound` from now, and returns their number.
pub(crate) async fn hasten(pool: &PgPool, channel: Channel, bound: Duration) -> sqlx::Result<u64> {
    let hastened = sqlx::query!(
        r#"
        UPDATE deliveries SET next_at = now() WHERE id IN (
            SELECT id FROM deliveries
            WHERE channel = $1 AND (kind = 'back_in_stock') = ANY('{true, false}')
              AND next_at > now() + make_interval(secs => $2)
            FOR UPDATE SKIP LOCKED)
        "#,
        <&str>::from(channel),
        bound.as_secs_f64(),
    );
    Ok(hastened.execute(pool).await?.rows_affected())
}

/// The number of deliveries of `channel` and these classes that are due now.
pub(crate) async fn ready(pool: &PgPool, channel: Channel, classes: &[Class]) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "ready!" FROM deliveries
        WHERE channel = $1 AND (kind = 'back_in_stock') = ANY($2)
          AND next_at <= now() AND (leased_until IS NULL OR leased_until <= now())
        "#,
        <&str>::from(channel),
        &are_bulk(classes),
    )
    .fetch_one(pool)
    .await
}
