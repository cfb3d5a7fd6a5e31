//! Brings each payment to its goal: one operation at a time, called outside any transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker::Outbox;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;
use work::{Queue, Worker, backoff};

use crate::domain::{Failure, Outcome, Payment};
use crate::event_log;
use crate::gateway::{Gateway, LEASE};
use crate::store::{self, Claim, Claimed, Update};

/// The most concurrent calls of this instance.
const CONCURRENCY: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The queue of payments that have not reached their goal.
pub(crate) struct Payments {
    outbox: Outbox,
    gateway: Gateway,
    /// Whether the last call that showed it found the gateway unavailable.
    is_unavailable: AtomicBool,
}

pub(crate) fn worker(outbox: Outbox, gateway: Gateway, wake: Arc<Notify>) -> Worker<Payments> {
    let payments = Payments { outbox, gateway, is_unavailable: AtomicBool::new(false) };
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
            tracing::error!(order_id = %job.payment.order_id, "a payment is due, but there is no call to make for it");
            return Err(Failure::Unknown);
        };
        self.gateway.call(request).await
    }

    fn timed_out(&self, _: &Claimed) -> Outcome {
        Err(Failure::Unknown)
    }

    async fn record(&self, done: &[(Claimed, Outcome)]) -> sqlx::Result<bool> {
        let (orders, tokens): (Vec<_>, Vec<_>) =
            done.iter().map(|(job, _)| (job.payment.order_id.uuid(), job.token)).unzip();
        let outcomes: HashMap<_, _> =
            done.iter().map(|(job, outcome)| (job.payment.order_id, (job.unresolved, outcome))).collect();
        let mut tx = self.outbox.begin().await?;
        // Loaded again, since the order may have moved the goal meanwhile.
        let mut payments = store::load_claimed(&mut tx, &orders, &tokens).await?;
        let now = OffsetDateTime::now_utc().truncate_to_microsecond();
        for payment in &mut payments {
            let Some(&(unresolved, outcome)) = outcomes.get(&payment.order_id) else { continue };
            let event = payment.resolve(unresolved, outcome.clone(), now);
            if let Err(failure) = outcome {
                log_failure(payment, *failure);
            }
            let Some(event) = event else { continue };
            let cause = payment.cause(&event);
            let traceparent = cause.traceparent.clone();
            tx.append(cause, payment.version, &event).map_err(|error| sqlx::Error::Encode(error.into()))?;
            tx.on_commit(move || event_log::log(&event, traceparent.as_deref()));
        }
        let updates: Vec<_> = payments.iter().map(with_backoff).collect();
        store::update(&mut tx, &updates).await?;
        tx.commit().await?;
        self.log_availability(done.iter().map(|(_, outcome)| outcome));
        Ok(payments.iter().any(|payment| payment.operation.is_some()))
    }

    async fn hasten(&self, bound: Duration) -> sqlx::Result<u64> {
        store::hasten(self.outbox.pool(), bound).await
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        store::ready(self.outbox.pool()).await
    }
}

impl Payments {
    /// Logs once when the gateway becomes unavailable, and once when it is available again.
    fn log_availability<'a>(&self, mut outcomes: impl Iterator<Item = &'a Outcome>) {
        let Some(unavailable) = outcomes.find_map(is_unavailable) else { return };
        if self.is_unavailable.swap(unavailable, Ordering::Relaxed) == unavailable {
            return;
        }
        if unavailable {
            tracing::warn!("the gateway is not available; payments stay pending and are retried");
        } else {
            tracing::info!("the gateway is available again");
        }
    }
}

/// Whether the gateway is unavailable; `None` when the outcome does not show it.
fn is_unavailable(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Ok(_) | Err(Failure::Failed) => Some(false),
        Err(Failure::Unavailable) => Some(true),
        Err(Failure::Unknown) => None,
    }
}

/// Logs the first failure of an operation as a warning, unless the whole gateway is unavailable.
fn log_failure(payment: &Payment, failure: Failure) {
    let order_id = payment.order_id;
    match (failure, payment.failures) {
        (Failure::Failed | Failure::Unknown, 1) => {
            tracing::warn!(%order_id, "{failure}; the call is repeated until its outcome is known");
        }
        (_, failures) => tracing::debug!(%order_id, failures, "{failure}"),
    }
}

/// Makes the next operation due: at once, or after a backoff when the last call failed.
fn with_backoff(payment: &Payment) -> Update<'_> {
    let pause = match u32::try_from(payment.failures).unwrap_or_default() {
        0 => Duration::ZERO,
        failures => backoff(failures, FIRST_PAUSE, LONGEST_PAUSE),
    };
    Update { payment, due_in: Some(pause), claim: Claim::Release }
}
