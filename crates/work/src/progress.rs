//! Notices a queue that stands still: work is due, and no result comes, whatever the cause.

use std::time::{Duration, Instant};

/// How long work may be due without one result; a queue's longest pause comes on top, since what is due may have to wait for
/// what pauses (a message for the one before it).
const STALLED: Duration = Duration::from_secs(30);

/// Since when a queue stands still.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    results: u64,
    since: Option<Instant>,
}

impl Progress {
    /// Notes what is seen at this moment: whether work is due, and how many results were written so far. Returns whether the
    /// queue, whose longest pause this is, counts as stalled.
    pub(crate) fn look(&mut self, now: Instant, is_due: bool, results: u64, longest_pause: Duration) -> bool {
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
        let mut look = |seconds, is_due, results| {
            progress.look(begin + Duration::from_secs(seconds), is_due, results, Duration::from_secs(10))
        };
        assert!(!look(0, true, 0));
        assert!(!look(39, true, 0));
        assert!(look(40, true, 0));
        assert!(!look(41, true, 1), "a result came");
        assert!(!look(80, true, 1));
        assert!(look(81, true, 1));
        assert!(!look(82, false, 1), "nothing is due");
        assert!(!look(121, true, 1));
    }
}
