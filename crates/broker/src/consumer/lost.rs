//! A partition that stands where the log is not: retention overtook it, or the log was cut or made anew.

use crate::logs::{Logs, outside};
use crate::positions::{Partition, Positions};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub partition: Partition,
    pub position: i64,
    low: i64,
    high: i64,
}

impl Lost {
    /// Those of `positions` that are outside of their logs.
    pub(super) fn among(positions: &Positions, logs: &Logs) -> Vec<Self> {
        let lost = |(partition, position): (&Partition, &i64)| {
            let log = logs.get(partition)?;
            outside(*position, log).then(|| Self {
                partition: partition.clone(),
                position: *position,
                low: log.start,
                high: log.end,
            })
        };
        positions.iter().filter_map(lost).collect()
    }

    /// What happened, how much is gone, and the command that repairs it.
    pub(super) fn explain(&self, program: &str) -> String {
        let Self { partition: (topic, number), position, low, high } = self;
        if position < low {
            let gone = low - position;
            format!(
                "{topic}/{number} stops: {gone} records before offset {low} were deleted unread (position {position}). \
                 Run: {program} rewind {topic} --to beginning"
            )
        } else {
            format!(
                "{topic}/{number} stops: the log ends at {high}, before our position {position}: it was cut or made \
                 anew. Run: {program} rewind {topic} --to beginning"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::BEGINNING;

    #[test]
    fn only_positions_outside_of_their_logs_are_lost() {
        let at = |number: i32, position: i64| (("t".to_owned(), number), position);
        let positions =
            Positions::from([at(0, BEGINNING), at(1, 4), at(2, 5), at(3, 9), at(4, 10), at(5, 1)]);
        let logs = (0..5).map(|number| (("t".to_owned(), number), 5..9)).collect();
        let lost = Lost::among(&positions, &logs);
        assert_eq!(lost.iter().map(|lost| lost.partition.1).collect::<Vec<_>>(), [1, 4]);
        assert!(lost[0].explain("ledger").contains("1 records before offset 5"));
        assert!(lost[1].explain("ledger").contains("ends at 9, before our position 10"));
    }
}
