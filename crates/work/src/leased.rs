//! A queue whose entries are the domain rows themselves, worked on by any number of instances.
//!
//! A claim is a lease and a token (`FOR UPDATE SKIP LOCKED` picks the rows, so instances do not wait for each other). A
//! result counts only where the token is still the claim's: whoever was frozen past its lease is overtaken, and what it
//! then brings is discarded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::furthest;
use crate::progress::Progress;
use crate::queue::Queue;

/// Works on a queue until it is stopped.
pub struct Worker<Q> {
    queue: Arc<Q>,
    wake: Arc<Notify>,
    /// Calls at the same time.
    concurrency: usize,
    lease: Duration,
    deadline: Duration,
    /// Results written so far.
    results: AtomicU64,
    stalled: watch::Sender<bool>,
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
/// How often rows are looked for that are due too late. Finding none costs one look at the end of an index.
const HASTEN: Duration = Duration::from_secs(5);
/// How often it is looked whether the queue moves.
const WATCH: Duration = Duration::from_secs(1);
const RECORD_AGAIN: Duration = Duration::from_millis(300);

impl<Q: Queue> Worker<Q> {
    /// A worker on `queue`, woken by `wake`, with at most `concurrency` calls at a time, each shorter than `lease`.
    pub fn new(queue: Q, wake: Arc<Notify>, concurrency: usize, lease: Duration) -> Self {
        let (results, stalled) = (AtomicU64::new(0), watch::Sender::new(false));
        let deadline = call_deadline(lease);
        Self { queue: Arc::new(queue), wake, concurrency, lease, deadline, results, stalled }
    }

    /// Lets a call take up to `deadline`, whatever the lease: the claim is renewed every third of the lease while the call
    /// is under way. So a short lease frees the claims of a crashed instance quickly, and a slow call keeps its own.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Follows whether work is due and no result is written, for 30 seconds beyond the queue's longest pause.
    pub fn stalled(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    /// Runs until `stop`; then gives calls that are under way one more lease to end, and records their results.
    pub async fn run(self, stop: CancellationToken) {
        metrics::describe_gauge!("work_ready", "Calls that are due and not under way, by queue.");
        tokio::join!(self.work(&stop), stop.run_until_cancelled(self.watch()));
    }

    /// Apart from the work itself, which may be what stands still.
    async fn watch(&self) {
        let mut progress = Progress::default();
        loop {
            tokio::time::sleep(WATCH).await;
            let is_due = match self.queue.ready().await {
                Ok(ready) => {
                    gauge(Q::NAME, ready);
                    ready > 0
                }
                // Without the database nothing can move, and that is told elsewhere.
                Err(_) => false,
            };
            let results = self.results.load(Ordering::Relaxed);
            self.report(progress.look(Instant::now(), is_due, results, Q::LONGEST_PAUSE));
        }
    }

    /// Shows whether the queue is stalled; logs when that begins and ends.
    fn report(&self, stalled: bool) {
        if self.stalled.send_replace(stalled) == stalled {
            return;
        }
        if stalled {
            tracing::error!(
                queue = Q::NAME,
                "work is due, and no result of it has been written for a long time"
            );
        } else {
            tracing::info!(queue = Q::NAME, "work goes on");
        }
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut calls = JoinSet::new();
        let (mut failing, mut hasten_at) = (false, Instant::now());
        while !stop.is_cancelled() {
            if Instant::now() >= hasten_at {
                self.hasten().await;
                hasten_at = Instant::now() + HASTEN;
            }
            let free = self.concurrency - calls.len();
            let claimed = if free > 0 { self.claim(free, &mut calls, &mut failing).await } else { 0 };
            // A full claim: there is more, as soon as a call ends.
            let look_again = claimed < free;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(first) = calls.join_next() => self.record(first, &mut calls).await,
                () = self.wake.notified(), if look_again => {}
                () = tokio::time::sleep(POLL), if look_again => {}
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

    async fn hasten(&self) {
        match self.queue.hasten(furthest(Q::LONGEST_PAUSE)).await {
            Ok(0) => {}
            Ok(rows) => {
                tracing::warn!(
                    queue = Q::NAME,
                    rows,
                    "work was due too late: a clock was wrong; it is due now"
                );
            }
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "due times cannot be looked at"),
        }
    }

    /// Writes the result of `first` and of all calls that have ended by now, until the database takes them. When the database
    /// refuses some of them, the others are written all the same: their calls must not be made again.
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
        let mut open = vec![&done[..]];
        while let Some(part) = open.pop() {
            let Err(error) = self.queue.record(part).await else {
                self.results.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            if !is_refused(&error) {
                tracing::warn!(queue = Q::NAME, %error, "results cannot be written; trying again");
                tokio::time::sleep(RECORD_AGAIN).await;
                open.push(part);
            } else if part.len() > 1 {
                let (first, second) = part.split_at(part.len() / 2);
                open.extend([second, first]);
            } else {
                tracing::error!(queue = Q::NAME, %error, "a result is refused; its call is made again when its lease ends");
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn gauge(queue: &'static str, ready: i64) {
    metrics::gauge!("work_ready", "queue" => queue).set(ready as f64);
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
