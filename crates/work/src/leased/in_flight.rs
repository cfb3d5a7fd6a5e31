//! The rows that are claimed: those whose call waits or is under way, and those whose result is being written.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::call::{self, Ended};
use super::recorder::Recorder;
use crate::queue::Queue;

/// A row is claimed ahead only while rows take no longer than this from the claim to the end of their call: what the claim read
/// must still be true at the call, and another instance must not wait for rows that this one does not get to.
const FAST: Duration = Duration::from_millis(100);

/// The rows that are claimed and not yet released.
pub(super) struct InFlight<Q: Queue> {
    recorder: Arc<Recorder<Q>>,
    concurrency: usize,
    lease: Duration,
    deadline: Duration,
    /// The most rows claimed ahead, and how many at present.
    most_ahead: usize,
    ahead: usize,
    /// The last claim found as many rows as it asked for.
    backlog: bool,
    /// A permit for each concurrent call, held until its result is written: after a crash no more calls are repeated than that.
    free_calls: Arc<Semaphore>,
    calls: JoinSet<Ended<Q>>,
    ended: Vec<(Q::Job, Q::Outcome)>,
    permits: Vec<OwnedSemaphorePermit>,
    /// At most one transaction writes results; what ends meanwhile is written by the next one.
    recording: JoinSet<bool>,
    being_recorded: usize,
}

impl<Q: Queue> InFlight<Q> {
    pub(super) fn new(
        recorder: Arc<Recorder<Q>>,
        free_calls: Arc<Semaphore>,
        concurrency: usize,
        most_ahead: usize,
        lease: Duration,
        deadline: Duration,
    ) -> Self {
        Self {
            recorder,
            concurrency,
            lease,
            deadline,
            most_ahead,
            ahead: 0,
            backlog: false,
            free_calls,
            calls: JoinSet::new(),
            ended: Vec::new(),
            permits: Vec::new(),
            recording: JoinSet::new(),
            being_recorded: 0,
        }
    }

    /// The number of rows to claim now; 0 while a larger claim is expected soon.
    pub(super) fn room(&self) -> usize {
        let limit = self.concurrency + self.ahead;
        let free = limit.saturating_sub(self.calls.len() + self.ended.len() + self.being_recorded);
        // Calls that are reserved for rows that are about to be handed over are not free.
        let free = free.min(self.free_calls.available_permits() + self.ahead);
        let is_worth_it =
            if self.ahead > 0 { free * 2 >= limit } else { self.backlog || self.recording.is_empty() };
        if is_worth_it { free } else { 0 }
    }

    /// Notes whether rows are waiting to be claimed.
    pub(super) fn set_backlog(&mut self, backlog: bool) {
        self.backlog = backlog;
        if !backlog {
            self.ahead = 0;
        }
    }

    /// Starts the call of a claimed row. Without a `permit` it waits until one of the concurrent calls is free.
    pub(super) fn start(&mut self, job: Q::Job, permit: Option<OwnedSemaphorePermit>) {
        let (queue, free_calls) = (Arc::clone(&self.recorder.queue), Arc::clone(&self.free_calls));
        self.calls.spawn(call::call(queue, job, permit, free_calls, self.lease, self.deadline));
    }

    /// Waits until a call has ended or results are written, and starts to write the results that there are. Returns whether more
    /// rows may be due now. Without anything in flight it waits for ever.
    pub(super) async fn next(&mut self) -> bool {
        let more = tokio::select! {
            Some(call) = self.calls.join_next() => {
                self.take(call);
                while let Some(call) = self.calls.try_join_next() {
                    self.take(call);
                }
                false
            }
            Some(more) = self.recording.join_next() => {
                self.being_recorded = 0;
                more.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            else => std::future::pending().await,
        };
        if self.recording.is_empty() && !self.ended.is_empty() {
            let (recorder, done) = (Arc::clone(&self.recorder), std::mem::take(&mut self.ended));
            let permits = std::mem::take(&mut self.permits);
            self.being_recorded = done.len();
            self.recording.spawn(async move {
                let more = recorder.record(&done).await;
                drop(permits);
                more
            });
        }
        more
    }

    fn take(&mut self, call: Result<Ended<Q>, JoinError>) {
        match call {
            Ok(Ended { job, outcome, took, permit }) => {
                self.ahead = if took > FAST {
                    self.ahead / 2
                } else if self.backlog {
                    (self.ahead + 1).min(self.most_ahead)
                } else {
                    self.ahead
                };
                self.ended.push((job, outcome));
                self.permits.extend(permit);
            }
            Err(error) => {
                tracing::error!(queue = Q::NAME, %error, "a call panicked; its lease ends by itself");
            }
        }
    }

    /// Waits until all calls have ended and all results are written.
    pub(super) async fn drain(&mut self) {
        while self.calls.len() + self.ended.len() + self.being_recorded > 0 {
            self.next().await;
        }
    }
}
