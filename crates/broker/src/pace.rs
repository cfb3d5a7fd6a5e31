//! Spaces batches, so that each carries what arrived during the one before.

use std::time::{Duration, Instant};

/// The longest pause between two batches.
const LONGEST: Duration = Duration::from_millis(100);
/// The length of a pause, in lengths of the batch before it.
const FACTOR: u32 = 2;

/// The pause between batches: twice as long as the last batch took, at most 100 ms. A batch after a quiet time begins at once.
///
/// A transaction costs the same few round trips for one record as for twenty. Without the pause a loaded process would use all
/// of the CPU for transactions of one record.
#[derive(Debug)]
pub struct Pace {
    next: Instant,
    longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self::with_longest(LONGEST)
    }
}

impl Pace {
    /// Creates a pace with another longest pause: somebody waits for the batch.
    #[must_use]
    pub fn with_longest(longest: Duration) -> Self {
        Self { next: Instant::now(), longest }
    }

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

    /// Records a batch that began at `started` and ends now. After a full one the next may begin at once, because waiting would
    /// not make it larger.
    pub fn end(&mut self, started: Instant, is_full: bool) {
        let now = Instant::now();
        self.next = if is_full { now } else { now + (FACTOR * started.elapsed()).min(self.longest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_follows_a_batch_unless_the_batch_was_full() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        assert!(pace.next() <= Instant::now(), "the first batch begins at once");
        let started = began.checked_sub(Duration::from_millis(5)).unwrap_or(began);
        pace.end(started, false);
        assert!(pace.next() >= began + Duration::from_millis(10), "twice as long as the batch took");
        pace.end(began.checked_sub(Duration::from_mins(1)).unwrap_or(began), false);
        assert!(pace.next() <= Instant::now() + LONGEST, "at most the longest pause");
        pace.end(started, true);
        assert!(pace.next() <= Instant::now(), "a full batch is followed by the next at once");
    }
}
