//! Spaces batches, so that each carries what arrived during the one before.

use std::time::{Duration, Instant};

/// The longest pause between two batches.
const LONGEST: Duration = Duration::from_millis(25);
/// The length of a pause, in lengths of the batch before it.
const FACTOR: u32 = 2;

/// The pause between batches: twice as long as the last batch took, at most 25 ms. A batch after a quiet time begins at once.
///
/// A transaction costs the same few round trips for one record as for twenty. Without the pause a loaded process would use all
/// of the CPU for transactions of one record.
#[derive(Debug)]
pub struct Pace {
    next: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl Pace {
    /// Returns when the next batch may begin.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Waits until the next batch may begin.
    pub async fn wait(&self) {
        if self.next > Instant::now() {
            tokio::time::sleep_until(self.next.into()).await;
        }
    }

    /// Records a batch that began at `started` and ends now.
    pub fn end(&mut self, started: Instant) {
        self.next = Instant::now() + (FACTOR * started.elapsed()).min(LONGEST);
    }
}
