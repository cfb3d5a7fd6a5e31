//! The simulated gateway: stands for the system of a payment provider, with its own ledger and its own failures.
//!
//! [`Gateway`] is the client. The ledger is in a schema of its own, and no query joins it with the service's tables. The
//! gateway answers a repeated idempotency key as it did the first time, without a time limit, and knows Stripe's test
//! payment methods.

mod batches;
mod calls;
mod ledger;
mod methods;
mod restored;

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use self::batches::{Answered, Pending};
use crate::domain::{Outcome, Request};

pub(crate) use ledger::{LedgerEntry, Switch};
pub(crate) use restored::enter;

/// The timeout of a call; after it the outcome is unknown.
pub(crate) const CALL_DEADLINE: Duration = work::call_deadline(LEASE);
/// The lease of a payment that is claimed for a call. Another instance may claim it after that.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// The longest latency that can be set: two seconds of [`CALL_DEADLINE`] are left for the gateway's own work.
const LONGEST_LATENCY: Duration = CALL_DEADLINE.saturating_sub(Duration::from_secs(2));

/// Returns `latency` if calls can wait that long, otherwise the reason why they cannot.
pub(crate) fn allowed_latency(latency: Duration) -> Result<Duration, String> {
    if latency <= LONGEST_LATENCY {
        return Ok(latency);
    }
    Err(format!(
        "must be at most {LONGEST_LATENCY:?}: a call to the gateway times out after {CALL_DEADLINE:?}, so no payment would \
         ever finish"
    ))
}

/// The client of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pool: PgPool,
    /// The latency of each answer, unless the switch sets another.
    latency: Duration,
    calls: mpsc::Sender<Pending>,
}

impl Gateway {
    /// A gateway whose ledger is in the database of `pool`. It works until the last client is dropped.
    pub(crate) fn new(pool: PgPool, latency: Duration) -> Self {
        metrics::describe_counter!(
            "gateway_calls_total",
            "Calls to the gateway, by operation and outcome; timed_out: no answer in time, unknown: the connection broke."
        );
        let (calls, waiting) = mpsc::channel(batches::LARGEST);
        tokio::spawn(batches::run(pool.clone(), waiting));
        Self { pool, latency, calls }
    }

    /// Makes a call. A caller that drops it earlier does not know whether it takes effect.
    pub(crate) async fn call(&self, request: Request) -> Outcome {
        let mut counted = Counted { operation: <&str>::from(&request.call), outcome: TIMED_OUT };
        let (reply, answer) = oneshot::channel();
        let _ = self.calls.send(Pending { request, reply }).await;
        let Answered { outcome, latency } = answer.await.unwrap_or(Answered::UNKNOWN);
        // The effect precedes the answer, as with any remote system: a crash during this wait leaves the outcome unknown.
        tokio::time::sleep(latency.unwrap_or(self.latency)).await;
        counted.outcome = match &outcome {
            Ok(answer) => <&str>::from(answer),
            Err(failure) => <&str>::from(failure),
        };
        outcome
    }
}

/// The outcome of a call without an answer in time, in metrics.
const TIMED_OUT: &str = "timed_out";

/// A call that is counted when it ends, also when its future is dropped before the answer.
struct Counted {
    operation: &'static str,
    outcome: &'static str,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (operation, outcome) = (self.operation, self.outcome);
        metrics::counter!("gateway_calls_total", "operation" => operation, "outcome" => outcome).increment(1);
    }
}
