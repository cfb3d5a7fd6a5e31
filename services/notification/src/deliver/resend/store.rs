//! The SQL of sending again. Locks are taken in the order of `subscriptions`: stock, mailbox, subscription, delivery.

use broker::Tx;
use events::Channel;
use events::values::{EmailAddress, OrderId, Sku};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Failed, Outcome, Wanted};
use crate::deliver::content::{Content, channel_name, kind_name};
use crate::notify_me::{stock, subscriptions};

/// At most `limit` failed messages, the oldest first. Those that a restored database has from the log alone are left out:
/// what they say is not there.
pub(super) async fn failed(
    tx: &mut Tx,
    wanted: &Wanted,
    after: Option<Uuid>,
    limit: usize,
) -> sqlx::Result<Vec<Failed>> {
    sqlx::query_as!(
        Failed,
        r#"
        SELECT deliveries.id, data AS "content: Json<Content>", channel, COALESCE(cause, '') AS "cause!",
               COALESCE(subscriptions.email, contacts.email) AS "email?",
               contacts.erased_at IS NOT NULL OR COALESCE(state = 'erased', false) AS "erased!"
        FROM deliveries
        LEFT JOIN subscriptions ON subscriptions.id = subscription_id
        LEFT JOIN orders ON orders.order_id = deliveries.order_id AND deliveries.customer_id IS NULL
        LEFT JOIN contacts ON contacts.customer_id = COALESCE(deliveries.customer_id, orders.customer_id)
        WHERE status = 'failed' AND NOT data ? 'recovered'
          AND ($1::text IS NULL OR kind = $1)
          AND ($2::text IS NULL OR channel = $2)
          AND ($3::uuid IS NULL OR deliveries.order_id = $3)
          AND ($4::text IS NULL OR deliveries.sku = $4)
          AND ($5::timestamptz IS NULL OR finished_at >= $5)
          AND ($6::text IS NULL OR strpos(lower(cause), lower($6)) > 0)
          AND ($7::uuid IS NULL OR deliveries.id > $7)
        ORDER BY deliveries.id
        LIMIT $8
        "#,
        wanted.kind.map(kind_name),
        wanted.channel.map(channel_name),
        wanted.order_id.map(OrderId::uuid),
        wanted.sku.as_ref().map(Sku::as_str),
        wanted.since,
        wanted.cause,
        after,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Locks what arming these messages changes. The waves look at their products again afterwards.
pub(super) async fn lock(tx: &mut Tx, found: &[Failed]) -> sqlx::Result<()> {
    let (mut places, mut ids) = (Vec::new(), Vec::new());
    for row in found {
        if let Content::BackInStock { subscription_id, sku, .. } = &row.content.0 {
            ids.push(subscription_id.uuid());
            // The table holds parsed addresses only.
            let address = row.email.as_deref().and_then(|email| email.parse::<EmailAddress>().ok());
            places.extend(address.map(|address| (address.mailbox(), sku.as_str())));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    places.sort_unstable();
    places.dedup();
    let skus: Vec<&str> = places.iter().map(|(_, sku)| *sku).collect();
    stock::look_again(tx, &skus).await?;
    for (mailbox, sku) in places {
        subscriptions::lock_mailbox(tx, &mailbox, sku).await?;
    }
    sqlx::query!("SELECT FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", &ids)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Arms one message again, or says why it is left.
pub(super) async fn arm(
    tx: &mut Tx,
    row: &Failed,
    tells: Channel,
    now: OffsetDateTime,
) -> sqlx::Result<Outcome> {
    if row.erased {
        return Ok(Outcome::Erased);
    }
    let counts = row.channel == channel_name(tells);
    match &row.content.0 {
        Content::ConfirmSubscription { until, .. } if *until <= now => Ok(Outcome::TooLate),
        Content::ConfirmSubscription { subscription_id, .. } => {
            if asks_still(tx, subscription_id.uuid()).await? {
                send(tx, row).await
            } else {
                Ok(Outcome::NotWaiting)
            }
        }
        Content::BackInStock { .. } if row.email.is_none() => Ok(Outcome::Forgotten),
        Content::BackInStock { subscription_id, .. } if counts => {
            if wait_again(tx, subscription_id.uuid(), now).await? {
                hold(tx, row).await
            } else {
                Ok(Outcome::NotWaiting)
            }
        }
        _ => send(tx, row).await,
    }
}

/// The question is one that can still be answered.
async fn asks_still(tx: &mut Tx, subscription: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT FROM subscriptions
                       WHERE id = $1 AND email IS NOT NULL AND state IN ('pending', 'waiting')) AS "asks!"
        "#,
        subscription,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Puts a subscriber whom the failed message had taken off the list back to the old place; `false`: it was another end, the
/// time to wait is over, or the same address has asked anew.
async fn wait_again(tx: &mut Tx, subscription: Uuid, now: OffsetDateTime) -> sqlx::Result<bool> {
    let waiting = sqlx::query!(
        r#"
        UPDATE subscriptions SET state = 'waiting', queued_at = NULL, ended_at = NULL
        WHERE id = $1 AND state = 'lapsed' AND expires_at > $2 AND email IS NOT NULL AND activated_at IS NOT NULL
          AND NOT EXISTS (
              SELECT FROM subscriptions AS other
              WHERE other.email = subscriptions.email AND other.sku = subscriptions.sku
                AND (other.state IN ('pending', 'waiting') OR other.created_at > subscriptions.ended_at))
        "#,
        subscription,
        now,
    );
    Ok(waiting.execute(&mut **tx).await?.rows_affected() > 0)
}

/// Makes the delivery due now.
async fn send(tx: &mut Tx, row: &Failed) -> sqlx::Result<Outcome> {
    unfinish(tx, row, true).await.map(|armed| if armed { Outcome::SentAgain } else { Outcome::Changed })
}

/// Makes the delivery one that the next wave arms.
async fn hold(tx: &mut Tx, row: &Failed) -> sqlx::Result<Outcome> {
    unfinish(tx, row, false).await.map(|armed| if armed { Outcome::BackInLine } else { Outcome::Changed })
}

async fn unfinish(tx: &mut Tx, row: &Failed, due: bool) -> sqlx::Result<bool> {
    let armed = sqlx::query!(
        r#"
        UPDATE deliveries
        SET status = 'pending', finished_at = NULL, deferrals = 0, next_at = CASE WHEN $2 THEN now() END
        WHERE id = $1 AND status = 'failed'
        "#,
        row.id,
        due,
    );
    Ok(armed.execute(&mut **tx).await?.rows_affected() > 0)
}
