//! A partition that cannot be read on where it stands: retention overtook it, or its log was cut or made anew.

use std::time::Duration;

use envelope::Cleanup;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::logs::outside;
use crate::positions::{Partition, Position};
use crate::record::Identity;

/// How far before the last applied record the repair reads again. All that replaced the lost end of a log was appended
/// after that record, by the brokers' clocks, which may have been set back by less than this.
const MARGIN: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OffsetOutOfRange {
    pub partition: Partition,
    pub position: Position,
    pub why: Why,
    /// When it was noticed.
    pub since: OffsetDateTime,
}

/// The service that publishes on a topic, and can publish again what the log has lost.
#[derive(Debug)]
pub(super) struct Owner {
    /// How an operator calls its program.
    pub program: String,
    /// The topic's cleanup policy: after deletion the owner publishes events again, after compaction the current state.
    pub cleanup: Cleanup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Retention deleted records before they were read.
    Overtaken { start: i64 },
    /// The log ends before the position.
    Cut { end: i64 },
    /// The log has another record, or none, where the last applied one was.
    Rewritten { found: Option<Identity> },
}

impl Why {
    /// Why nothing can be read at `position` in this log, if that is so.
    pub(super) fn of(position: &Position, log: &std::ops::Range<i64>) -> Option<Self> {
        if !outside(position.next, log) {
            None
        } else if position.next < log.start {
            Some(Self::Overtaken { start: log.start })
        } else {
            Some(Self::Cut { end: log.end })
        }
    }
}

impl OffsetOutOfRange {
    pub(super) fn new(partition: &Partition, position: &Position, why: Why) -> Self {
        let (partition, position) = (partition.clone(), position.clone());
        Self { partition, position, why, since: OffsetDateTime::now_utc() }
    }

    /// Describes the loss, its size and time, and names the commands that repair it.
    pub(super) fn explain(&self, program: &str, owner: Option<&Owner>) -> String {
        let Self { partition: (topic, number), position, why, since } = self;
        let next = position.next;
        let what = match why {
            Why::Overtaken { start } => {
                let gone = start - next;
                format!("{gone} records before offset {start} were deleted unread (position {next}).")
            }
            Why::Cut { end } => format!(
                "the log ends at {end}, before our position {next}: it was cut or made anew. Its owner has to publish \
                 again what was lost with its end."
            ),
            Why::Rewritten { found } => format!(
                "the log was cut or made anew, and has grown past our position {next} since: at offset {} it has {}, \
                 and the record that was applied there was {}. What was appended instead was not read; its owner has to \
                 publish again what was lost with the old end.",
                next - 1,
                found.map_or("no record".to_owned(), |found| format!("record {found}")),
                position.last.as_ref().map_or("another".to_owned(), |last| last.identity.to_string()),
            ),
        };
        let since = since.replace_nanosecond(0).unwrap_or(*since).format(&Rfc3339).unwrap_or_default();
        let repair = self.rewind(program);
        let again = owner.map(|owner| format!(", then: {}", self.republish(owner))).unwrap_or_default();
        format!("{topic}/{number} stops: {what} Noticed at {since}. Run: {repair}{again}")
    }

    /// The command after which everything that is there has been read. What was applied before is recognised.
    fn rewind(&self, program: &str) -> String {
        let (topic, number) = &self.partition;
        match self.from() {
            Some(from) => format!("{program} rewind {topic} --partition {number} --to {from}"),
            None => format!("{program} rewind {topic} --to beginning"),
        }
    }

    /// The command that publishes again what is not there. What was applied before is recognised.
    fn republish(&self, owner: &Owner) -> String {
        let (topic, program) = (&self.partition.0, &owner.program);
        match (owner.cleanup, self.from()) {
            (Cleanup::Compact, _) => format!("{program} republish {topic}"),
            (Cleanup::Delete, Some(from)) => format!("{program} republish {topic} --since {from}"),
            (Cleanup::Delete, None) => format!("{program} republish {topic} --unfinished"),
        }
    }

    /// A moment before which nothing was lost, where one is known.
    fn from(&self) -> Option<String> {
        let appended = self.position.last.as_ref().and_then(|last| last.appended_at);
        let from = match self.why {
            Why::Overtaken { .. } => None,
            Why::Cut { .. } | Why::Rewritten { .. } => appended.map(|appended| appended - MARGIN),
        };
        from.and_then(|from| from.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::{BEGINNING, LastRecord};

    fn lost(position: &Position, why: Why) -> String {
        let owner = Owner { program: "till".to_owned(), cleanup: Cleanup::Delete };
        OffsetOutOfRange::new(&("t".to_owned(), 4), position, why).explain("ledger", Some(&owner))
    }

    #[test]
    fn only_positions_outside_of_their_logs_are_lost() {
        let why = |next| Why::of(&Position::at(next), &(5..9));
        assert_eq!([BEGINNING, 5, 9].map(why), [None; 3]);
        assert_eq!(why(4), Some(Why::Overtaken { start: 5 }));
        assert_eq!(why(10), Some(Why::Cut { end: 9 }));
    }

    #[test]
    fn an_alarm_says_what_is_known_and_names_the_command() {
        let told = lost(&Position::at(4), Why::Overtaken { start: 5 });
        assert!(told.contains("t/4 stops: 1 records before offset 5"), "{told}");
        assert!(
            told.ends_with("Run: ledger rewind t --to beginning, then: till republish t --unfinished"),
            "{told}"
        );
        let told = lost(&Position::at(10), Why::Cut { end: 9 });
        assert!(told.contains("ends at 9, before our position 10"), "{told}");
        assert!(
            told.ends_with("Run: ledger rewind t --to beginning, then: till republish t --unfinished"),
            "nothing is known of its time: {told}"
        );
    }

    #[test]
    fn the_repair_reads_again_from_before_the_last_record_that_was_applied() {
        let identity = Identity::from_bytes(&[7; 16]).unwrap();
        let appended_at = OffsetDateTime::from_unix_timestamp(1_764_338_400).unwrap();
        let last = LastRecord { identity, appended_at: Some(appended_at) };
        let told = lost(&Position { next: 10, last: Some(last) }, Why::Rewritten { found: None });
        assert!(told.contains("at offset 9 it has no record"), "{told}");
        let commands = "Run: ledger rewind t --partition 4 --to 2025-11-28T13:00:00Z, \
                        then: till republish t --since 2025-11-28T13:00:00Z";
        assert!(told.ends_with(commands), "{told}");
    }
}
