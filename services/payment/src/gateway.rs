//! The simulated gateway: a payment provider of somebody else's, with its own books, its own switch and its own moods.
//!
//! [`Gateway`] is our end of it: a request goes out, and some time later an answer comes, or none. Behind it
//! [`Remote`] keeps the books in a schema of its own. It answers the same idempotency key with the same answer, for
//! ever, and understands Stripe's test payment methods.

mod books;
mod ledger;
mod methods;
mod restored;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::domain::{Call, Failure, Outcome, Request};

pub(crate) use books::{Books, LedgerEntry, Switch};
pub(crate) use restored::enter;

use ledger::{Answered, Ledger};

/// How long a call may take before it is ended, and its outcome is unknown.
pub(crate) const CALL_DEADLINE: Duration = work::call_deadline(LEASE);
/// How long a payment is claimed for a call. Another instance claims it after that.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// The longest latency that can be set: it leaves the call two seconds for the gateway's own work, so that an answer
/// always comes before [`CALL_DEADLINE`].
const LONGEST_LATENCY: Duration = CALL_DEADLINE.saturating_sub(Duration::from_secs(2));

/// Returns `latency` if the answers to calls can take as long, else why they cannot.
pub(crate) fn allowed_latency(latency: Duration) -> Result<Duration, String> {
    if latency <= LONGEST_LATENCY {
        return Ok(latency);
    }
    Err(format!(
        "must be at most {LONGEST_LATENCY:?}: a call to the gateway is ended after {CALL_DEADLINE:?}, so no payment would settle"
    ))
}

/// More requests than this wait outside.
const ROOM: usize = 1024;
/// Requests that are answered together.
const TOGETHER: usize = 256;

/// A request and where its answer goes.
type Waiting = (Request, oneshot::Sender<Answered>);

/// Our end of the wire. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    wire: mpsc::Sender<Waiting>,
    /// How long an answer takes unless the switch says otherwise.
    latency: Duration,
}

/// The other end: what a provider would run elsewhere.
pub(crate) struct Remote {
    wire: mpsc::Receiver<Waiting>,
    ledger: Ledger,
}

/// Both ends. Answers take `latency` unless the switch in the books says otherwise.
pub(crate) fn connect(pool: PgPool, latency: Duration) -> (Gateway, Remote) {
    metrics::describe_counter!(
        "gateway_calls_total",
        "Calls to the gateway, by operation and outcome; timed_out: ended without an answer, unknown: the connection broke."
    );
    let (sender, receiver) = mpsc::channel(ROOM);
    let remote = Remote { wire: receiver, ledger: Ledger::new(pool) };
    (Gateway { wire: sender, latency }, remote)
}

impl Gateway {
    /// Asks, and waits as long as it takes. Dropped before that, the request may still take effect.
    pub(crate) async fn ask(&self, request: Request) -> Outcome {
        let mut call = Counted { operation: request.call.label(), outcome: TIMED_OUT };
        let outcome = self.answer(request).await;
        call.outcome = match &outcome {
            Ok(answer) => <&str>::from(answer),
            Err(failure) => <&str>::from(failure),
        };
        outcome
    }

    async fn answer(&self, request: Request) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        self.wire.send((request, sender)).await.map_err(|_| Failure::Unavailable)?;
        // The connection broke off: what was asked may have been done.
        let answered = receiver.await.map_err(|_| Failure::Unknown)?;
        // The effect is there before the answer is: as with any remote, the wait is where a crash hurts.
        tokio::time::sleep(answered.latency.unwrap_or(self.latency)).await;
        answered.outcome
    }
}

/// The outcome of a call that was ended at [`CALL_DEADLINE`], in metrics.
const TIMED_OUT: &str = "timed_out";

/// A call that is counted when it ends, also when its future is dropped before the answer comes.
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

impl Remote {
    /// Answers until the other end is gone. Requests that arrive together share a statement.
    pub(crate) async fn run(mut self) {
        let mut arrived = Vec::with_capacity(TOGETHER);
        while self.wire.recv_many(&mut arrived, TOGETHER).await > 0 {
            let (requests, mut senders): (Vec<_>, HashMap<_, _>) =
                arrived.drain(..).map(|(request, sender)| (request.clone(), (request.key, sender))).unzip();
            for (key, answered) in self.serve(requests).await {
                if let Some(sender) = senders.remove(&key) {
                    // Whoever asked may have stopped waiting.
                    let _ = sender.send(answered);
                }
            }
        }
    }

    async fn serve(&self, requests: Vec<Request>) -> Vec<(String, Answered)> {
        let (mut authorize, mut capture, mut void, mut refund, mut find) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            match &request.call {
                Call::Authorize { .. } => authorize.push(request),
                Call::Capture(_) => capture.push(request),
                Call::Void(_) => void.push(request),
                Call::Refund(_) => refund.push(request),
                Call::FindCapture(_) => find.push(request),
            }
        }
        let ledger = &self.ledger;
        let served = tokio::join!(
            ledger.authorize(&authorize),
            ledger.capture(&capture),
            ledger.void(&void),
            ledger.refund(&refund),
            ledger.find_captures(&find),
        );
        let served = [served.0, served.1, served.2, served.3, served.4];
        served
            .into_iter()
            .flat_map(|answers| {
                answers.unwrap_or_else(|error| {
                    tracing::debug!(%error, "the simulated gateway lost its books; requests go unanswered");
                    Vec::new()
                })
            })
            .collect()
    }
}
