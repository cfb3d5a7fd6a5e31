//! Waves: those who wait for a product that is there are told in order of arrival, as many as the stock is good for. Whom
//! an order signed up comes behind those whose address has confirmed it: anybody can order with anybody's address.
//!
//! Level-triggered: a product is due (`stock.wave_at`) whenever its stock rises, somebody begins to wait for what is
//! there, or the last wave left somebody waiting an interval ago. A wave is a chain of short transactions under the lock
//! of the product's row, so any number of instances share the work, and a crash loses nothing.

use std::sync::Arc;
use std::time::Duration;

use broker::{Cause, Outbox, Tx};
use events::Channel;
use events::values::{Quantity, Sku, SubscriptionId};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::furthest;

use super::budget::{self, Candidate};
use super::news::News;
use super::products;
use super::recall::recall;
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;
use crate::deliver::queue;

/// Those told in one transaction, at most: memory stays flat, and nobody waits long for the lock.
const CHUNK: i64 = 500;
/// How long a product waits whose wave failed.
const PUT_OFF: Duration = Duration::from_secs(10);
/// How often it is looked for products that have become due by time alone.
const LOOK: Duration = Duration::from_secs(1);

/// The worker that runs waves.
pub(crate) struct Waves {
    pub outbox: Outbox,
    pub channels: Arc<[Channel]>,
    /// Units told of for each unit there is.
    pub factor: f64,
    /// How long those told have the product to themselves.
    pub interval: Duration,
    /// Wakes the senders.
    pub senders: Arc<[Arc<Notify>]>,
    /// Whether the levels are as new as the log: an old one, after an outage, would mislead.
    pub news: Arc<News>,
}

impl Waves {
    /// Runs until `stop`, sooner when `wake` says so.
    pub(crate) async fn run(self, wake: Arc<Notify>, stop: CancellationToken) {
        work::every("waves", LOOK, &wake, stop.clone(), || self.turn(&stop)).await;
    }

    async fn turn(&self, stop: &CancellationToken) -> sqlx::Result<()> {
        while !stop.is_cancelled() && self.news.are_read() {
            let idle = !self.chunk(OffsetDateTime::now_utc()).await?;
            if !idle || self.news.are_looked_at() {
                self.senders.iter().for_each(|sender| sender.notify_one());
            }
            if idle {
                break;
            }
        }
        Ok(())
    }

    /// Queues the next messages of one product that is due; `false`: none was. A product whose wave fails is put off: the
    /// others do not wait until it is repaired.
    async fn chunk(&self, now: OffsetDateTime) -> sqlx::Result<bool> {
        let mut tx = self.outbox.begin().await?;
        let Some(product) = due(&mut tx).await? else { return Ok(false) };
        if let Err(error) = self.wave(tx, &product, now).await {
            // While the database is away this fails too.
            put_off(self.outbox.pool(), &product.sku).await?;
            tracing::warn!(sku = product.sku, %error, "the wave of a product failed; the others go on, it is tried again");
        }
        Ok(true)
    }

    async fn wave(&self, mut tx: Tx, product: &Product, now: OffsetDateTime) -> sqlx::Result<()> {
        let spent = spent(&mut tx, &product.sku, self.interval).await?;
        let left = budget::budget(self.factor, product.available, spent.queued, spent.told_lately);
        let soon = match self.channels.last() {
            Some(tells) if left < 0 && spent.queued > 0 => {
                recall(&mut tx, &product.sku, -left, *tells).await?
            }
            _ => false,
        };
        let candidates =
            if product.listed && left > 0 { candidates(&mut tx, product).await? } else { Vec::new() };
        let (chosen, left) = budget::choose(&candidates, product.available, left);
        let queued = if chosen.is_empty() { 0 } else { self.enqueue(&mut tx, product, &chosen, now).await? };
        let more = left > 0 && i64::try_from(candidates.len()).is_ok_and(|count| count == CHUNK);
        reschedule(&mut tx, &product.sku, Next { more, soon, interval: self.interval }).await?;
        tx.commit().await?;
        if queued > 0 {
            tracing::info!(
                sku = product.sku,
                available = product.available,
                subscribers = queued,
                traceparent = product.traceparent,
                "back in stock: telling"
            );
        }
        Ok(())
    }

    /// Puts the messages to those chosen into the queue. One that was held back is armed again, for this restock now.
    async fn enqueue(
        &self,
        tx: &mut Tx,
        product: &Product,
        chosen: &[Uuid],
        now: OffsetDateTime,
    ) -> sqlx::Result<usize> {
        let mut chosen: Vec<Uuid> = chosen.to_vec();
        chosen.sort_unstable();
        let queued = sqlx::query!(
            r#"
            WITH chosen AS (
                SELECT id FROM subscriptions
                WHERE id = ANY($1) AND state = 'waiting' AND queued_at IS NULL ORDER BY id FOR UPDATE
            )
            UPDATE subscriptions SET queued_at = $2 FROM chosen WHERE subscriptions.id = chosen.id
            RETURNING subscriptions.id, quantity, consent = 'order' AS "by_order!", activated_at AS "activated_at!"
            "#,
            &chosen,
            now,
        )
        .fetch_all(&mut **tx)
        .await?;
        let mut places: Vec<((bool, OffsetDateTime, Uuid), i32)> =
            queued.into_iter().map(|row| ((row.by_order, row.activated_at, row.id), row.quantity)).collect();
        places.sort_unstable();
        let ids: Vec<Uuid> = places.iter().map(|((.., id), _)| *id).collect();
        sqlx::query!(
            r#"
            UPDATE deliveries
            SET restocks = $2, data = jsonb_set(data, '{restocks}', to_jsonb($2::bigint)), next_at = now(),
                caused_by = $3, traceparent = $4
            WHERE subscription_id = ANY($1) AND kind = 'back_in_stock' AND finished_at IS NULL AND next_at IS NULL
            "#,
            &ids,
            product.restocks,
            product.caused_by,
            product.traceparent,
        )
        .execute(&mut **tx)
        .await?;
        let due = places.iter().map(|((.., id), quantity)| product.message((*id).into(), *quantity, now));
        let due = due.collect::<sqlx::Result<Vec<Due>>>()?;
        queue::insert(tx, &due, &self.channels).await?;
        Ok(due.len())
    }
}

/// A product that is due for a wave.
struct Product {
    sku: String,
    available: i64,
    restocks: i64,
    name: String,
    amount: i64,
    currency: String,
    listed: bool,
    caused_by: Option<Uuid>,
    traceparent: Option<String>,
}

impl Product {
    fn message(
        &self,
        subscription_id: SubscriptionId,
        quantity: i32,
        at: OffsetDateTime,
    ) -> sqlx::Result<Due> {
        let invalid = |error: events::values::Invalid| sqlx::Error::Decode(error.into());
        let content = Content::BackInStock {
            subscription_id,
            sku: self.sku.parse::<Sku>().map_err(invalid)?,
            name: self.name.clone(),
            price: products::price(self.amount, &self.currency)?,
            quantity: Quantity::try_from(i64::from(quantity)).map_err(invalid)?,
            restocks: self.restocks,
        };
        let cause = Cause { event_id: self.caused_by, traceparent: self.traceparent.clone() };
        Ok(Due { content, customer: None, cause, at })
    }
}

/// Locks the product that has been due the longest; another instance's is left to it.
async fn due(tx: &mut Tx) -> sqlx::Result<Option<Product>> {
    sqlx::query_as!(
        Product,
        r#"
        SELECT stock.sku, available, restocks, name, amount, currency, listed, caused_by, traceparent
        FROM stock JOIN products USING (sku)
        WHERE wave_at <= now() ORDER BY wave_at LIMIT 1
        FOR UPDATE OF stock SKIP LOCKED
        "#,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Looks at a product again after a pause.
async fn put_off(pool: &PgPool, sku: &str) -> sqlx::Result<()> {
    let put_off = sqlx::query!(
        "UPDATE stock SET wave_at = now() + make_interval(secs => $2) WHERE sku = $1 AND wave_at <= now()",
        sku,
        PUT_OFF.as_secs_f64(),
    );
    put_off.execute(pool).await.map(drop)
}

/// What a wave's budget has been spent on already, in units.
struct Spent {
    queued: i64,
    told_lately: i64,
}

async fn spent(tx: &mut Tx, sku: &str, interval: Duration) -> sqlx::Result<Spent> {
    sqlx::query_as!(
        Spent,
        r#"
        SELECT (SELECT COALESCE(sum(quantity), 0)::bigint FROM subscriptions
                WHERE sku = $1 AND queued_at IS NOT NULL) AS "queued!",
               (SELECT COALESCE(sum(quantity), 0)::bigint FROM subscriptions
                WHERE sku = $1 AND notified_at > now() - make_interval(secs => $2)
                  AND notified_at <= now() + make_interval(secs => $3)) AS "told_lately!"
        "#,
        sku,
        interval.as_secs_f64(),
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// The next in line, of those who want no more than there is, were not told of this restock, and have not bought it.
async fn candidates(tx: &mut Tx, product: &Product) -> sqlx::Result<Vec<Candidate<Uuid>>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, quantity FROM subscriptions
        WHERE sku = $1 AND state = 'waiting' AND queued_at IS NULL AND email IS NOT NULL AND quantity <= $2
          AND (told_restocks IS NULL OR told_restocks < $3)
          AND NOT EXISTS (
              SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id)
        ORDER BY (consent = 'order'), activated_at, id LIMIT $4
        "#,
        product.sku,
        i32::try_from(product.available).unwrap_or(i32::MAX),
        product.restocks,
        CHUNK,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| Candidate { id: row.id, wanted: row.quantity.into() }).collect())
}

/// What decides when to look again.
struct Next {
    /// A long queue has a rest: at once.
    more: bool,
    /// Something could not be taken back yet: in a second.
    soon: bool,
    /// If somebody still waits, as soon as what was told lately begins to count no more, or after this.
    interval: Duration,
}

async fn reschedule(tx: &mut Tx, sku: &str, next: Next) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE stock SET wave_at = CASE
            WHEN $2 THEN now()
            WHEN $4 THEN now() + interval '1 second'
            WHEN available > 0 AND EXISTS (
                SELECT FROM subscriptions WHERE subscriptions.sku = $1 AND state = 'waiting' AND queued_at IS NULL
                  AND NOT EXISTS (
                      SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id))
            THEN GREATEST(now() + interval '1 second', make_interval(secs => $3) + COALESCE(
                (SELECT min(notified_at) FROM subscriptions
                 WHERE subscriptions.sku = $1 AND notified_at > now() - make_interval(secs => $3)
                   AND notified_at <= now()), now())) END
        WHERE sku = $1
        "#,
        sku,
        next.more,
        next.interval.as_secs_f64(),
        next.soon,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
