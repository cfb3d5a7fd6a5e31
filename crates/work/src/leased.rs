//! A worker on a queue whose entries are the domain rows themselves, shared by any number of instances.
//!
//! A claim is a lease and a token (`FOR UPDATE SKIP LOCKED` selects the rows, so instances do not wait for each other). A
//! result is written only where the row still has the claim's token. When an instance was frozen past its lease, another
//! instance claims the row, and the result of the first one is discarded.

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
    /// The most concurrent calls.
    concurrency: usize,
    lease: Duration,
    deadline: Duration,
    /// The number of results written so far.
    results: AtomicU64,
    stalled: watch::Sender<bool>,
}

/// Returns the timeout of a call whose row is claimed for `lease`: four fifths, so that its result is written before another
/// instance may claim the row. A longer call is dropped, and counts as [`Queue::timed_out`].
#[must_use]
pub const fn call_deadline(lease: Duration) -> Duration {
    match lease.checked_div(5) {
        Some(fifth) => lease.saturating_sub(fifth),
        None => lease,
    }
}

/// The interval of looking for rows that became due.
const POLL: Duration = Duration::from_millis(500);
/// The interval of looking for rows that are due too late. Finding none costs one look at the end of an index.
const HASTEN: Duration = Duration::from_secs(5);
/// The interval of checking whether the queue moves.
const WATCH: Duration = Duration::from_secs(1);
/// The pause before results are written again.
const RECORD_AGAIN: Duration = Duration::from_millis(300);

impl<Q: Queue> Worker<Q> {
    /// Creates a worker on `queue`, woken by `wake`, with at most `concurrency` calls at a time, each shorter than `lease`.
    pub fn new(queue: Q, wake: Arc<Notify>, concurrency: usize, lease: Duration) -> Self {
        let (results, stalled) = (AtomicU64::new(0), watch::Sender::new(false));
        let deadline = call_deadline(lease);
        Self { queue: Arc::new(queue), wake, concurrency, lease, deadline, results, stalled }
    }

    /// Allows calls up to `deadline`, whatever the lease: the worker renews the claim every third of the lease during the
    /// call. So a short lease frees the claims of a crashed instance quickly, and a slow call keeps its claim.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Returns whether the queue is stalled: work is due, and no result was written for 30 seconds beyond the queue's longest
    /// pause.
    pub fn stalled(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    /// Runs until `stop`; then waits at most one lease for the calls in flight, and records their results.
    pub async fn run(self, stop: CancellationToken) {
        metrics::describe_gauge!("work_ready", "Calls that are due and not under way, by queue.");
        tokio::join!(self.work(&stop), stop.run_until_cancelled(self.watch()));
    }

    /// Watches the queue in a loop of its own, because the loop of the work may be the one that hangs.
    async fn watch(&self) {
        let mut progress = Progress::default();
        loop {
            tokio::time::sleep(WATCH).await;
            let is_due = match self.queue.ready().await {
                Ok(ready) => {
                    gauge(Q::NAME, ready);
                    ready > 0
                }
                // Without the database nothing can move; `/health/ready` reports that.
                Err(_) => false,
            };
            let results = self.results.load(Ordering::Relaxed);
            self.report(progress.observe(Instant::now(), is_due, results, Q::LONGEST_PAUSE));
        }
    }

    /// Publishes whether the queue is stalled, and logs each change.
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
            tracing::info!(queue = Q::NAME, "work continues");
        }
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut calls = JoinSet::new();
        let (mut failing, mut hasten_at, mut may_be_due) = (false, Instant::now(), true);
        while !stop.is_cancelled() {
            if Instant::now() >= hasten_at {
                self.hasten().await;
                hasten_at = Instant::now() + HASTEN;
            }
            let free = self.concurrency - calls.len();
            if free > 0 && may_be_due {
                // After a full claim there may be more rows, but no call is free until one ends.
                may_be_due = self.claim(free, &mut calls, &mut failing).await == free;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(first) = calls.join_next() => may_be_due |= self.record(first, &mut calls).await,
                () = self.wake.notified(), if !may_be_due => may_be_due = true,
                () = tokio::time::sleep(POLL), if !may_be_due => may_be_due = true,
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
                "calls did not end, or their results could not be written; a restart resumes them"
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
                    "work was due too late because a clock was wrong; it is due now"
                );
            }
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "due times cannot be checked"),
        }
    }

    /// Writes the result of `first` and of all calls that have ended by now, and retries until the database accepts them. When
    /// the database refuses some of them, the others are written all the same: their calls must not be repeated. Returns
    /// whether more rows may be due now.
    async fn record(
        &self,
        first: Result<(Q::Job, Q::Outcome), tokio::task::JoinError>,
        calls: &mut JoinSet<(Q::Job, Q::Outcome)>,
    ) -> bool {
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
        let (mut open, mut may_be_due) = (vec![&done[..]], false);
        while let Some(part) = open.pop() {
            let error = match self.queue.record(part).await {
                Ok(more) => {
                    self.results.fetch_add(1, Ordering::Relaxed);
                    may_be_due |= more;
                    continue;
                }
                Err(error) => error,
            };
            // A retry of refused data would only block the queue.
            if !sqlstate::is_refused(&error) {
                tracing::warn!(queue = Q::NAME, %error, "results cannot be written; trying again");
                tokio::time::sleep(RECORD_AGAIN).await;
                open.push(part);
            } else if part.len() > 1 {
                let (first, second) = part.split_at(part.len() / 2);
                open.extend([second, first]);
            } else {
                tracing::error!(queue = Q::NAME, %error, "the database refuses a result; its call is repeated when its lease ends");
            }
        }
        may_be_due
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn gauge(queue: &'static str, ready: i64) {
    metrics::gauge!("work_ready", "queue" => queue).set(ready as f64);
}

/// Makes the call of `job`, and renews its claim meanwhile. Drops the call when it takes longer than `deadline`, or when the
/// claim is lost.
async fn call<Q: Queue>(
    queue: Arc<Q>,
    job: Q::Job,
    lease: Duration,
    deadline: Duration,
) -> (Q::Job, Q::Outcome) {
    let outcome = tokio::select! {
        called = tokio::time::timeout(deadline, queue.perform(&job)) => called.ok(),
        () = renew(&*queue, &job, lease) => None,
    };
    let outcome = outcome.unwrap_or_else(|| queue.timed_out(&job));
    (job, outcome)
}

/// Renews the claim of `job` every third of the lease; returns when the claim is lost.
async fn renew<Q: Queue>(queue: &Q, job: &Q::Job, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match queue.renew(job, lease).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(queue = Q::NAME, "a claim was lost while its call was under way");
                return;
            }
            // Without the database no other instance can claim the row either.
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "a claim cannot be renewed; trying again"),
        }
    }
}

#[cfg(test)]
mod tests;
