//! Notices partitions without progress: records are there to read, and the position does not move, whatever the cause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::record::Partition;

/// A partition without progress is assigned again after this time, and again each time it has passed.
const ASSIGN_AGAIN: Duration = Duration::from_secs(15);
/// A partition without progress is reported after this time.
pub(super) const REPORT: Duration = Duration::from_secs(30);

/// The partitions that are behind, and since when each is without progress.
#[derive(Debug, Default)]
pub(super) struct Progress {
    idle: BTreeMap<Partition, Idle>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Idle {
    next: i64,
    since: Instant,
    assigned: Instant,
}

/// The partitions without progress that need an action.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stalled {
    pub assign_again: Vec<Partition>,
    pub report: Vec<Partition>,
}

impl Progress {
    /// Notes the positions of the partitions that are `behind` at this moment.
    pub(super) fn observe(&mut self, now: Instant, behind: &BTreeMap<Partition, i64>) -> Stalled {
        self.looked = Some(now);
        self.idle.retain(|partition, idle| behind.get(partition) == Some(&idle.next));
        let mut stalled = Stalled::default();
        for (partition, next) in behind {
            let idle = Idle { next: *next, since: now, assigned: now };
            let idle = self.idle.entry(partition.clone()).or_insert(idle);
            if now.duration_since(idle.since) >= REPORT {
                stalled.report.push(partition.clone());
            }
            if now.duration_since(idle.assigned) >= ASSIGN_AGAIN {
                idle.assigned = now;
                stalled.assign_again.push(partition.clone());
            }
        }
        stalled
    }

    /// Begins again: no progress was possible, because a batch is being retried, which is reported elsewhere.
    pub(super) fn reset(&mut self) {
        self.idle.clear();
    }

    /// Leaves out the time since the last look: no progress was possible, because Kafka did not answer. The time before still
    /// counts, so that a partition is assigned again even when a busy Kafka misses a look now and then.
    pub(super) fn pass_over(&mut self, now: Instant) {
        let missed = self.looked.replace(now).map_or(Duration::ZERO, |looked| now.duration_since(looked));
        for idle in self.idle.values_mut() {
            idle.since += missed;
            idle.assigned += missed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_progress_is_assigned_again_and_then_reported() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let partition = |number| ("t".to_owned(), number);
        let mut observe = |seconds, behind: &[(i32, i64)]| {
            let behind: BTreeMap<_, _> =
                behind.iter().map(|(number, next)| (partition(*number), *next)).collect();
            progress.observe(begin + Duration::from_secs(seconds), &behind)
        };
        let stalled = |assign_again: &[i32], report: &[i32]| Stalled {
            assign_again: assign_again.iter().copied().map(partition).collect(),
            report: report.iter().copied().map(partition).collect(),
        };
        assert_eq!(observe(0, &[(0, 5), (1, 5)]), stalled(&[], &[]));
        assert_eq!(observe(14, &[(0, 5), (1, 6)]), stalled(&[], &[]));
        assert_eq!(observe(15, &[(0, 5), (1, 6)]), stalled(&[0], &[]));
        assert_eq!(observe(28, &[(0, 5), (1, 7)]), stalled(&[], &[]));
        assert_eq!(observe(30, &[(0, 5), (1, 7)]), stalled(&[0], &[0]));
        assert_eq!(observe(32, &[(0, 5), (1, 7)]), stalled(&[], &[0]));
        assert_eq!(observe(34, &[(1, 7)]), stalled(&[], &[]), "the partition has caught up");
        assert_eq!(observe(60, &[(0, 5), (1, 8)]), stalled(&[], &[]));
    }

    #[test]
    fn time_without_possible_progress_does_not_count() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let behind = || BTreeMap::from([(("t".to_owned(), 0), 5)]);
        progress.observe(begin, &behind());
        progress.pass_over(begin + REPORT);
        assert_eq!(progress.observe(begin + REPORT, &behind()), Stalled::default());
        let later = begin + REPORT + ASSIGN_AGAIN;
        assert_eq!(
            progress.observe(later, &behind()).assign_again.len(),
            1,
            "the time before and after counts"
        );
        progress.reset();
        assert_eq!(progress.observe(later + REPORT, &behind()), Stalled::default());
    }
}
