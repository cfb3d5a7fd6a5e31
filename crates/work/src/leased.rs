//! A queue whose entries are the domain rows themselves, worked on by any number of instances.
//!
//! A claim is a lease and a token (`FOR UPDATE SKIP LOCKED` picks the rows, so instances do not wait for each other). A
//! result counts only where the token is still the claim's: whoever was frozen past its lease is overtaken, and what it
//! then brings is discarded.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a service supplies.
pub trait Queue: Send + Sync + 'static {
    /// A claimed row; it carries its token.
    type Job: Send + Sync + 'static;
    /// What the call outside brought.
    type Outcome: Send + 'static;

    /// The queue's name in logs and metrics.
    const NAME: &'static str;

    /// Claims at most `limit` rows that are due, under `token`, for `lease`; a claim whose lease is over is due again.
    fn claim(
        &self,
        token: Uuid,
        limit: i64,
        lease: Duration,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Job>>> + Send;

    /// Calls outside. It is given the worker's deadline; [`timed_out`](Self::timed_out) tells what its end means.
    fn perform(&self, job: &Self::Job) -> impl Future<Output = Self::Outcome> + Send;

    /// Extends the claim of a call that is under way to `lease` from now; `false` when the claim is another's by now. A
    /// queue whose deadline is longer than its lease must have its own; with a shorter one there is nothing to extend.
    fn renew(&self, _job: &Self::Job, _lease: Duration) -> impl Future<Output = sqlx::Result<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// The outcome of a call that did not end in time, or whose claim was lost: not known.
    fn timed_out(&self, job: &Self::Job) -> Self::Outcome;

    /// Writes results in one transaction, each only where the row's token is the job's, and releases the claims.
    fn record(&self, done: &[(Self::Job, Self::Outcome)]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// How many rows are due now.
    fn ready(&self) -> impl Future<Output = sqlx::Result<i64>> + Send;
}

/// Works on a queue until it is stopped.
pub struct Worker<Q> {
    queue: Arc<Q>,
    wake: Arc<Notify>,
    /// Calls at the same time.
    concurrency: usize,
    lease: Duration,
    deadline: Duration,
}

/// How long a call may take whose row is claimed for `lease`: four fifths, so that its result is written before another
/// instance may claim the row. A call that takes longer is ended, and counts as [`Queue::timed_out`].
#[must_use]
pub const fn call_deadline(lease: Duration) -> Duration {
    match lease.checked_div(5) {
        Some(fifth) => lease.saturating_sub(fifth),
        None => lease,
    }
}

/// How often rows that become due by time alone are looked for.
const POLL: Duration = Duration::from_millis(500);
const RECORD_AGAIN: Duration = Duration::from_millis(300);

impl<Q: Queue> Worker<Q> {
    /// A worker on `queue`, woken by `wake`, with at most `concurrency` calls at a time, each shorter than `lease`.
    pub fn new(queue: Q, wake: Arc<Notify>, concurrency: usize, lease: Duration) -> Self {
        Self { queue: Arc::new(queue), wake, concurrency, lease, deadline: call_deadline(lease) }
    }

    /// Lets a call take up to `deadline`, whatever the lease: the claim is renewed every third of the lease while the call
    /// is under way. So a short lease frees the claims of a crashed instance quickly, and a slow call keeps its own.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Runs until `stop`; then gives calls that are under way one more lease to end, and records their results.
    pub async fn run(self, stop: CancellationToken) {
        metrics::describe_gauge!("work_ready", "Calls that are due and not under way, by queue.");
        let mut calls = JoinSet::new();
        let mut failing = false;
        while !stop.is_cancelled() {
            let free = self.concurrency - calls.len();
            let claimed = if free > 0 { self.claim(free, &mut calls, &mut failing).await } else { 0 };
            // A full claim: there is more, as soon as a call ends.
            let look_again = claimed < free;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(first) = calls.join_next() => self.record(first, &mut calls).await,
                () = self.wake.notified(), if look_again => {}
                () = tokio::time::sleep(POLL), if look_again => self.gauge().await,
            }
        }
        let drained = async {
            while let Some(first) = calls.join_next().await {
                self.record(first, &mut calls).await;
            }
        };
        if tokio::time::timeout(self.lease, drained).await.is_err() {
            tracing::warn!(
                queue = Q::NAME,
                "calls did not end, or their results could not be written; they are found again after a restart"
            );
        }
    }

    async fn claim(
        &self,
        free: usize,
        calls: &mut JoinSet<(Q::Job, Q::Outcome)>,
        failing: &mut bool,
    ) -> usize {
        let limit = i64::try_from(free).unwrap_or(i64::MAX);
        match self.queue.claim(Uuid::new_v4(), limit, self.lease).await {
            Ok(jobs) => {
                *failing = false;
                let claimed = jobs.len();
                for job in jobs {
                    calls.spawn(call(Arc::clone(&self.queue), job, self.lease, self.deadline));
                }
                claimed
            }
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    tracing::warn!(queue = Q::NAME, %error, "work cannot be claimed; trying again");
                }
                0
            }
        }
    }

    /// Writes the result of `first` and of all calls that have ended by now, until the database takes them.
    async fn record(
        &self,
        first: Result<(Q::Job, Q::Outcome), tokio::task::JoinError>,
        calls: &mut JoinSet<(Q::Job, Q::Outcome)>,
    ) {
        let mut done = Vec::new();
        let mut ended = Some(first);
        while let Some(call) = ended {
            match call {
                Ok(result) => done.push(result),
                Err(error) => {
                    tracing::error!(queue = Q::NAME, %error, "a call panicked; its lease ends by itself");
                }
            }
            ended = calls.try_join_next();
        }
        while let Err(error) = self.queue.record(&done).await {
            if is_refused(&error) {
                tracing::error!(queue = Q::NAME, %error, "results are refused; their leases end by themselves");
                return;
            }
            tracing::warn!(queue = Q::NAME, %error, "results cannot be written; trying again");
            tokio::time::sleep(RECORD_AGAIN).await;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    async fn gauge(&self) {
        if let Ok(ready) = self.queue.ready().await {
            metrics::gauge!("work_ready", "queue" => Q::NAME).set(ready as f64);
        }
    }
}

/// Makes the call of `job`, and keeps its claim meanwhile. A call that takes longer than `deadline`, or whose claim is
/// lost, is dropped.
async fn call<Q: Queue>(
    queue: Arc<Q>,
    job: Q::Job,
    lease: Duration,
    deadline: Duration,
) -> (Q::Job, Q::Outcome) {
    let outcome = tokio::select! {
        called = tokio::time::timeout(deadline, queue.perform(&job)) => called.ok(),
        () = keep(&*queue, &job, lease) => None,
    };
    let outcome = outcome.unwrap_or_else(|| queue.timed_out(&job));
    (job, outcome)
}

/// Renews the claim of `job` every third of the lease; returns when the claim is lost.
async fn keep<Q: Queue>(queue: &Q, job: &Q::Job, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match queue.renew(job, lease).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(queue = Q::NAME, "a claim was lost while its call was under way");
                return;
            }
            // Without the database nobody else can claim it either.
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "a claim cannot be renewed; trying again"),
        }
    }
}

/// Postgres will never take it (SQLSTATE class 22 or 23): trying again would only hold up the queue.
fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

#[cfg(test)]
mod tests;
