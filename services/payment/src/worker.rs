//! Brings each payment to its goal: one operation at a time, asked of the gateway outside any transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker::Outbox;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;
use work::{Queue, Worker, backoff};

use crate::announce::announce;
use crate::domain::{Failure, Outcome, Payment};
use crate::gateway::{Gateway, LEASE};
use crate::store::{self, Claimed, Written};

/// Calls at the same time, by this instance.
const CONCURRENCY: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The payments that are not where they should be.
pub(crate) struct Payments {
    outbox: Outbox,
    gateway: Gateway,
    /// The gateway took nothing in when it was last asked.
    gateway_away: AtomicBool,
}

/// A worker on the payments, woken by `wake`.
pub(crate) fn worker(outbox: Outbox, gateway: Gateway, wake: Arc<Notify>) -> Worker<Payments> {
    let payments = Payments { outbox, gateway, gateway_away: AtomicBool::new(false) };
    Worker::new(payments, wake, CONCURRENCY, LEASE)
}

impl Queue for Payments {
    type Job = Claimed;
    type Outcome = Outcome;

    const NAME: &'static str = "payments";
    const LONGEST_PAUSE: Duration = LONGEST_PAUSE;

    async fn claim(&self, token: Uuid, limit: i64, lease: Duration) -> sqlx::Result<Vec<Claimed>> {
        store::claim(self.outbox.pool(), token, limit, lease).await
    }

    async fn perform(&self, job: &Claimed) -> Outcome {
        let Some(request) = job.payment.request(job.unresolved) else {
            // The schema allows no such row.
            tracing::error!(order_id = %job.payment.order_id, "a payment is due and nothing can be asked for it");
            return Err(Failure::Unknown);
        };
        self.gateway.ask(request).await
    }

    fn timed_out(&self, _: &Claimed) -> Outcome {
        Err(Failure::Unknown)
    }

    async fn record(&self, done: &[(Claimed, Outcome)]) -> sqlx::Result<()> {
        let (orders, tokens): (Vec<_>, Vec<_>) =
            done.iter().map(|(job, _)| (job.payment.order_id.uuid(), job.token)).unzip();
        let brought: HashMap<_, _> =
            done.iter().map(|(job, outcome)| (job.payment.order_id, (job.unresolved, outcome))).collect();
        let mut tx = self.outbox.begin().await?;
        // As they are now: the order may have asked for something else meanwhile.
        let mut payments = store::lock_claimed(&mut tx, &orders, &tokens).await?;
        let now = OffsetDateTime::now_utc().truncate_to_microsecond();
        for payment in &mut payments {
            let Some(&(unresolved, outcome)) = brought.get(&payment.order_id) else { continue };
            let event = payment.resolve(unresolved, outcome.clone(), now);
            if let Err(failure) = outcome {
                tell(payment, *failure);
            }
            let Some(event) = event else { continue };
            let cause = payment.cause(&event);
            let traceparent = cause.traceparent.clone();
            tx.append(cause, payment.version, &event).map_err(|error| sqlx::Error::Encode(error.into()))?;
            tx.on_commit(move || announce(&event, traceparent.as_deref()));
        }
        let written: Vec<_> = payments.iter().map(after).collect();
        store::update(&mut tx, &written, true).await?;
        tx.commit().await?;
        self.watch(done.iter().map(|(_, outcome)| outcome));
        Ok(())
    }

    async fn hasten(&self, bound: Duration) -> sqlx::Result<u64> {
        store::hasten(self.outbox.pool(), bound).await
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        store::ready(self.outbox.pool()).await
    }
}

impl Payments {
    /// Tells people once when the gateway goes away, and when it is back.
    fn watch<'a>(&self, mut outcomes: impl Iterator<Item = &'a Outcome>) {
        let Some(away) = outcomes.find_map(is_away) else { return };
        if self.gateway_away.swap(away, Ordering::Relaxed) == away {
            return;
        }
        if away {
            tracing::warn!("the gateway is not available; payments wait and are tried again");
        } else {
            tracing::info!("the gateway is available again");
        }
    }
}

/// What an outcome says of the gateway as a whole.
fn is_away(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Ok(_) | Err(Failure::Failed) => Some(false),
        Err(Failure::Unavailable) => Some(true),
        Err(Failure::Unknown) => None,
    }
}

/// Tells, once, that a payment waits on its own account.
fn tell(payment: &Payment, failure: Failure) {
    let order_id = payment.order_id;
    match (failure, payment.failures) {
        (Failure::Failed | Failure::Unknown, 1) => {
            tracing::warn!(%order_id, "{failure}; the payment is tried again until it is settled");
        }
        (_, failures) => tracing::debug!(%order_id, failures, "{failure}"),
    }
}

/// What failed waits; what comes next is due at once.
fn after(payment: &Payment) -> Written<'_> {
    let failures = u32::try_from(payment.failures).unwrap_or_default();
    let pause = match failures {
        0 => Duration::ZERO,
        failures => backoff(failures, FIRST_PAUSE, LONGEST_PAUSE),
    };
    Written { payment, due_in: Some(pause) }
}
