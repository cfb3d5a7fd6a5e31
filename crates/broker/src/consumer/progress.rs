//! Notices partitions that stand still: something is there to read, and the position does not move, whatever the cause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::positions::Partition;

/// After this long a partition is assigned again, and again each time it passes.
const ASSIGN_AGAIN: Duration = Duration::from_secs(15);
/// After this long it is reported.
pub(super) const REPORT: Duration = Duration::from_secs(30);

/// How long each partition that is behind has stood where it stands.
#[derive(Debug, Default)]
pub(super) struct Progress(BTreeMap<Partition, Stand>);

#[derive(Debug)]
struct Stand {
    next: i64,
    since: Instant,
    /// When it was last assigned again.
    assigned: Instant,
}

/// What is to be done about partitions that stand still.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Still {
    pub assign_again: Vec<Partition>,
    pub report: Vec<Partition>,
}

impl Progress {
    /// Takes down where the partitions that are `behind` stand at this moment.
    pub(super) fn look(&mut self, now: Instant, behind: &BTreeMap<Partition, i64>) -> Still {
        self.0.retain(|partition, stand| behind.get(partition) == Some(&stand.next));
        let mut still = Still::default();
        for (partition, next) in behind {
            let stand = Stand { next: *next, since: now, assigned: now };
            let stand = self.0.entry(partition.clone()).or_insert(stand);
            if now.duration_since(stand.since) >= REPORT {
                still.report.push(partition.clone());
            }
            if now.duration_since(stand.assigned) >= ASSIGN_AGAIN {
                stand.assigned = now;
                still.assign_again.push(partition.clone());
            }
        }
        still
    }

    /// Nothing could move: Kafka does not answer, or a batch is being retried, which is reported already.
    pub(super) fn excuse(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_stands_still_is_assigned_again_and_then_reported() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let partition = |number| ("t".to_owned(), number);
        let mut look = |seconds, behind: &[(i32, i64)]| {
            let behind: BTreeMap<_, _> =
                behind.iter().map(|(number, next)| (partition(*number), *next)).collect();
            progress.look(begin + Duration::from_secs(seconds), &behind)
        };
        let still = |assign_again: &[i32], report: &[i32]| Still {
            assign_again: assign_again.iter().copied().map(partition).collect(),
            report: report.iter().copied().map(partition).collect(),
        };
        assert_eq!(look(0, &[(0, 5), (1, 5)]), still(&[], &[]));
        assert_eq!(look(14, &[(0, 5), (1, 6)]), still(&[], &[]));
        assert_eq!(look(15, &[(0, 5), (1, 6)]), still(&[0], &[]));
        assert_eq!(look(28, &[(0, 5), (1, 7)]), still(&[], &[]));
        assert_eq!(look(30, &[(0, 5), (1, 7)]), still(&[0], &[0]));
        assert_eq!(look(32, &[(0, 5), (1, 7)]), still(&[], &[0]));
        assert_eq!(look(34, &[(1, 7)]), still(&[], &[]), "it has caught up");
        assert_eq!(look(60, &[(0, 5), (1, 8)]), still(&[], &[]));
    }

    #[test]
    fn what_could_not_move_has_not_stood_still() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let behind = || BTreeMap::from([(("t".to_owned(), 0), 5)]);
        progress.look(begin, &behind());
        progress.excuse();
        assert_eq!(progress.look(begin + REPORT, &behind()), Still::default());
    }
}
