//! Waves: the subscribers of a product that is back in stock are notified in waitlist order, as many as the stock allows.
//! Subscribers whose address has confirmed come before those whom only an order signed up: anybody can order with anybody's
//! address.
//!
//! Level-triggered: a product is due (`stock.wave_at`) when its stock rises, when somebody joins the waitlist while it is in stock,
//! and an interval after a wave that did not empty the waitlist. A wave is a chain of short transactions under the lock of the
//! product's row, so any number of instances share the work, and a crash loses nothing.

use std::sync::Arc;
use std::time::Duration;

use broker::{Outbox, Tx};
use events::Channel;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::freshness::Freshness;
use crate::domain::budget;
use crate::domain::delivery::Message;
use crate::store::line::{self, Next, Product};
use crate::store::{deliveries, stock};
use crate::wakes::Wakes;

/// The most subscribers per transaction: memory stays flat, and the lock is held for a short time.
const CHUNK: i64 = 500;
/// The pause before the wave of a product is tried again after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How often products are looked for that have become due by time alone.
const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Waves {
    pub outbox: Outbox,
    pub channels: Arc<[Channel]>,
    /// Announced units per available unit.
    pub factor: f64,
    /// How long the notified subscribers have before the next are notified.
    pub interval: Duration,
    pub wakes: Wakes,
    pub freshness: Arc<Freshness>,
}

impl Waves {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        work::every("waves", INTERVAL, &self.wakes.waves, stop.clone(), || self.tick(&stop)).await;
    }

    async fn tick(&self, stop: &CancellationToken) -> sqlx::Result<()> {
        while !stop.is_cancelled() && self.freshness.allows_waves() {
            let idle = !self.run_next(OffsetDateTime::now_utc()).await?;
            if !idle || self.freshness.record_waves_done() {
                self.wakes.senders();
            }
            if idle {
                break;
            }
        }
        Ok(())
    }

    /// Queues the next messages of one product that is due; `false` when none is. A product whose wave fails is postponed: the
    /// others do not wait for its repair.
    async fn run_next(&self, now: OffsetDateTime) -> sqlx::Result<bool> {
        let mut tx = self.outbox.begin().await?;
        let Some(product) = line::due(&mut tx).await? else { return Ok(false) };
        if let Err(error) = self.wave(tx, &product, now).await {
            // While the database is away this fails too.
            stock::postpone_wave(self.outbox.pool(), &product.sku, RETRY).await?;
            tracing::warn!(sku = product.sku, %error, "the wave of a product failed; it is tried again, and the waves of other products continue");
        }
        Ok(true)
    }

    async fn wave(&self, mut tx: Tx, product: &Product, now: OffsetDateTime) -> sqlx::Result<()> {
        let spent = line::spent(&mut tx, &product.sku, self.interval).await?;
        let left = budget::budget(self.factor, product.available, spent.queued, spent.recently_notified);
        let soon = match self.channels.last() {
            Some(primary) if left < 0 && spent.queued > 0 => {
                line::recall(&mut tx, &product.sku, -left, *primary).await?
            }
            _ => false,
        };
        let candidates = if product.listed && left > 0 {
            line::candidates(&mut tx, product, CHUNK).await?
        } else {
            Vec::new()
        };
        let (chosen, left) = budget::choose(&candidates, product.available, left);
        let queued = if chosen.is_empty() { 0 } else { self.enqueue(&mut tx, product, chosen, now).await? };
        let more = left > 0 && i64::try_from(candidates.len()).is_ok_and(|count| count == CHUNK);
        line::reschedule(&mut tx, &product.sku, Next { more, soon, interval: self.interval }).await?;
        tx.commit().await?;
        if queued > 0 {
            tracing::info!(
                sku = product.sku,
                available = product.available,
                subscribers = queued,
                traceparent = product.traceparent,
                "back in stock: notifying subscribers"
            );
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        tx: &mut Tx,
        product: &Product,
        chosen: Vec<Uuid>,
        now: OffsetDateTime,
    ) -> sqlx::Result<usize> {
        let queued = line::enqueue(tx, product, chosen, now).await?;
        let messages = queued.iter().map(|place| product.message(place, now));
        let messages = messages.collect::<sqlx::Result<Vec<Message>>>()?;
        deliveries::insert(tx, &messages, &self.channels).await?;
        Ok(messages.len())
    }
}
