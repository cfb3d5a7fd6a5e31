//! A worker on a queue whose entries are the domain rows themselves, shared by any number of instances.
//!
//! A claim is a lease and a token (`FOR UPDATE SKIP LOCKED` selects the rows, so instances do not wait for each other). A
//! result is written only where the row still has the claim's token. When an instance was frozen past its lease, another
//! instance claims the row, and the result of the first one is discarded.

mod call;
mod hand_over;
mod in_flight;
mod recorder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::hand_over::Handed;
pub use self::hand_over::{HandOver, Reserved};
use self::in_flight::InFlight;
use self::recorder::Recorder;
use crate::due::furthest;
use crate::progress::Progress;
use crate::queue::Queue;

/// Works on a queue until it is stopped.
pub struct Worker<Q: Queue> {
    queue: Arc<Q>,
    wake: Arc<Notify>,
    concurrency: usize,
    lease: Duration,
    deadline: Duration,
    /// The most rows that are claimed before a call is free for them.
    ahead: usize,
    recorder: Arc<Recorder<Q>>,
    /// A permit for each concurrent call.
    free_calls: Arc<Semaphore>,
    hand_over: HandOver<Q::Job>,
    handed: mpsc::Receiver<Handed<Q::Job>>,
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

impl<Q: Queue> Worker<Q> {
    /// Creates a worker on `queue`, woken by `wake`, with at most `concurrency` calls at a time, each shorter than `lease`.
    pub fn new(queue: Q, wake: Arc<Notify>, concurrency: usize, lease: Duration) -> Self {
        let queue = Arc::new(queue);
        let (recorder, stalled) = (Arc::new(Recorder::new(Arc::clone(&queue))), watch::Sender::new(false));
        let deadline = call_deadline(lease);
        let free_calls = Arc::new(Semaphore::new(concurrency));
        let (hand_over, handed) = HandOver::new(Arc::clone(&free_calls), concurrency);
        Self {
            queue,
            wake,
            concurrency,
            lease,
            deadline,
            ahead: 0,
            recorder,
            free_calls,
            hand_over,
            handed,
            stalled,
        }
    }

    /// Allows calls up to `deadline`, whatever the lease: the worker renews the claim every third of the lease during the
    /// call. So a short lease frees the claims of a crashed instance quickly, and a slow call keeps its claim.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Claims up to `ahead` rows before a call is free for them, while rows wait and calls are fast: one claim and one
    /// transaction of results serve more calls. After a crash, at most `concurrency` calls are repeated.
    #[must_use]
    pub fn with_ahead(self, ahead: usize) -> Self {
        Self { ahead, ..self }
    }

    /// Returns what hands over rows that a transaction of this process claims, for the lease of this worker.
    pub fn hand_over(&self) -> HandOver<Q::Job> {
        self.hand_over.clone()
    }

    /// Returns whether the queue is stalled: work is due, and no result was written for 30 seconds beyond the queue's longest
    /// pause.
    pub fn stalled(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    /// Runs until `stop`; then waits at most one lease for the calls in flight, and records their results.
    pub async fn run(mut self, stop: CancellationToken) {
        metrics::describe_gauge!("work_ready", "Calls that are due and not under way, by queue.");
        let watch = watch(Arc::clone(&self.recorder), self.stalled.clone());
        tokio::join!(self.work(&stop), stop.run_until_cancelled(watch));
    }

    async fn work(&mut self, stop: &CancellationToken) {
        let (recorder, free_calls) = (Arc::clone(&self.recorder), Arc::clone(&self.free_calls));
        let mut open =
            InFlight::new(recorder, free_calls, self.concurrency, self.ahead, self.lease, self.deadline);
        let (mut failing, mut hasten_at, mut may_be_due) = (false, Instant::now(), true);
        while !stop.is_cancelled() {
            if Instant::now() >= hasten_at {
                self.hasten().await;
                hasten_at = Instant::now() + HASTEN;
            }
            let free = open.room();
            if free > 0 && may_be_due {
                let claimed = self.claim(free, &mut open, &mut failing).await;
                // After a full claim there may be more rows.
                may_be_due = claimed == free;
                open.set_backlog(may_be_due);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(Handed { job, permit }) = self.handed.recv() => open.start(job, Some(permit)),
                more = open.next() => may_be_due |= more,
                () = self.wake.notified(), if !may_be_due => may_be_due = true,
                () = tokio::time::sleep(POLL), if !may_be_due => may_be_due = true,
            }
        }
        let drain = async {
            // Nothing can be reserved any more; ends when the transactions with reservations have.
            self.handed.close();
            loop {
                tokio::select! {
                    row = self.handed.recv() => match row {
                        Some(Handed { job, permit }) => open.start(job, Some(permit)),
                        None => break,
                    },
                    // Meanwhile results are written.
                    _ = open.next() => {}
                }
            }
            open.drain().await;
        };
        if tokio::time::timeout(self.lease, drain).await.is_err() {
            tracing::warn!(
                queue = Q::NAME,
                "calls did not end, or their results could not be written; a restart resumes them"
            );
        }
    }

    async fn claim(&self, free: usize, open: &mut InFlight<Q>, failing: &mut bool) -> usize {
        let limit = i64::try_from(free).unwrap_or(i64::MAX);
        match self.queue.claim(Uuid::new_v4(), limit, self.lease).await {
            Ok(jobs) => {
                *failing = false;
                let claimed = jobs.len();
                for job in jobs {
                    open.start(job, None);
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
                    "due times were too far in the future (the database's clock was ahead); the jobs are due now"
                );
            }
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "due times cannot be checked"),
        }
    }
}

/// Watches the queue in a loop of its own, because the loop of the work may be the one that hangs.
async fn watch<Q: Queue>(recorder: Arc<Recorder<Q>>, stalled: watch::Sender<bool>) {
    let mut progress = Progress::default();
    loop {
        tokio::time::sleep(WATCH).await;
        let is_due = match recorder.queue.ready().await {
            Ok(ready) => {
                gauge(Q::NAME, ready);
                ready > 0
            }
            // Without the database nothing can move; `/health/ready` reports that.
            Err(_) => false,
        };
        let results = recorder.results();
        report(Q::NAME, &stalled, progress.observe(Instant::now(), is_due, results, Q::LONGEST_PAUSE));
    }
}

/// Publishes whether the queue is stalled, and logs each change.
fn report(queue: &str, stalled: &watch::Sender<bool>, is_stalled: bool) {
    if stalled.send_replace(is_stalled) == is_stalled {
        return;
    }
    if is_stalled {
        tracing::error!(queue, "queue stalled: jobs are due, but no result has been written for a long time");
    } else {
        tracing::info!(queue, "queue works again: results are written");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn gauge(queue: &'static str, ready: i64) {
    metrics::gauge!("work_ready", "queue" => queue).set(ready as f64);
}

#[cfg(test)]
mod tests;
