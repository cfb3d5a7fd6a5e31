//! Detects a stalled queue: work is due and no result comes, whatever the cause.

use std::time::{Duration, Instant};

/// The time after which a queue counts as stalled, in addition to its longest pause: a row that is due may have to wait for
/// one that pauses (a message for the one before it).
const STALLED: Duration = Duration::from_secs(30);

/// The time since which a queue has had due work and no result.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    results: u64,
    since: Option<Instant>,
}

impl Progress {
    /// Records whether work is due now, and the number of results so far. Returns whether the queue counts as stalled.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        is_due: bool,
        results: u64,
        longest_pause: Duration,
    ) -> bool {
        let has_moved = std::mem::replace(&mut self.results, results) != results;
        if !is_due || has_moved {
            self.since = None;
        }
        if is_due {
            self.since.get_or_insert(now);
        }
        self.since.is_some_and(|since| now.duration_since(since) >= STALLED.saturating_add(longest_pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_stalled_when_work_is_due_and_no_result_comes() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let mut observe = |seconds, is_due, results| {
            progress.observe(begin + Duration::from_secs(seconds), is_due, results, Duration::from_secs(10))
        };
        assert!(!observe(0, true, 0));
        assert!(!observe(39, true, 0));
        assert!(observe(40, true, 0));
        assert!(!observe(41, true, 1), "a result came");
        assert!(!observe(80, true, 1));
        assert!(observe(81, true, 1));
        assert!(!observe(82, false, 1), "nothing is due");
        assert!(!observe(121, true, 1));
    }
}
