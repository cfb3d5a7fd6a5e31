//! Writes the results of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::queue::Queue;

/// The pause before results are written again.
const RECORD_AGAIN: Duration = Duration::from_millis(300);

pub(super) struct Recorder<Q> {
    pub queue: Arc<Q>,
    results: AtomicU64,
}

impl<Q: Queue> Recorder<Q> {
    pub(super) fn new(queue: Arc<Q>) -> Self {
        Self { queue, results: AtomicU64::new(0) }
    }

    /// The number of transactions with results so far.
    pub(super) fn results(&self) -> u64 {
        self.results.load(Ordering::Relaxed)
    }

    /// Writes the results, and retries until the database accepts them. When the database refuses some of them, the others are
    /// written all the same: their calls must not be repeated. Returns whether more rows may be due now.
    pub(super) async fn record(&self, done: &[(Q::Job, Q::Outcome)]) -> bool {
        let (mut open, mut may_be_due) = (vec![done], false);
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
