//! A partition whose position is outside its log: retention deleted records unread, or the log was truncated or created
//! again.

use std::time::Duration;

use envelope::Cleanup;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::positions::{BEGINNING, Position};
use crate::record::{Identity, Partition};

/// How far before the last applied record the repair begins to read. All records that replaced the lost end of a log were
/// appended after that record by the brokers' clocks, if those were not set back by more than this.
const MARGIN: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetOutOfRange {
    pub partition: Partition,
    pub position: Position,
    pub reason: Reason,
    pub noticed_at: OffsetDateTime,
}

/// The service that publishes on a topic, and can publish lost records again.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The operator's command for the owner's program.
    pub program: String,
    /// The topic's cleanup policy: with deletion the owner publishes events again, with compaction the current state.
    pub cleanup: Cleanup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Retention deleted records before they were read.
    Expired { start: i64 },
    /// The log ends before the position.
    Truncated { end: i64 },
    /// The log has another record, or none, in the place of the last applied one.
    Replaced { found: Option<Identity> },
}

impl Reason {
    /// Returns why nothing can be read at `position` of this log; `None`: it can.
    pub(crate) fn of(position: &Position, log: &std::ops::Range<i64>) -> Option<Self> {
        let next = position.next;
        if next == BEGINNING || (log.start..=log.end).contains(&next) {
            None
        } else if next < log.start {
            Some(Self::Expired { start: log.start })
        } else {
            Some(Self::Truncated { end: log.end })
        }
    }
}

impl OffsetOutOfRange {
    pub(crate) fn new(partition: &Partition, position: &Position, reason: Reason) -> Self {
        let (partition, position) = (partition.clone(), position.clone());
        Self { partition, position, reason, noticed_at: OffsetDateTime::now_utc() }
    }

    /// Describes the loss with its size and time, and names the commands that repair it.
    pub(crate) fn explain(&self, program: &str, owner: Option<&Owner>) -> String {
        let Self { partition: (topic, number), position, reason, noticed_at } = self;
        let next = position.next;
        let what = match reason {
            Reason::Expired { start } => {
                let gone = start - next;
                format!("retention deleted {gone} records before offset {start} unread (position {next}).")
            }
            Reason::Truncated { end } => format!(
                "the log ends at {end}, before position {next}: it was truncated or created again. Its owner must publish \
                 the lost records again."
            ),
            Reason::Replaced { found } => format!(
                "the log was truncated or created again, and has grown past position {next} since: at offset {} it has \
                 {}, and the record that was applied there was {}. The records that were appended instead are not read; \
                 the topic's owner must publish the lost records again.",
                next - 1,
                found.map_or("no record".to_owned(), |found| format!("record {found}")),
                position.last.as_ref().map_or("another".to_owned(), |last| last.identity.to_string()),
            ),
        };
        let time = noticed_at.replace_nanosecond(0).unwrap_or(*noticed_at);
        let time = time.format(&Rfc3339).unwrap_or_default();
        let repair = self.rewind(program);
        let again = owner.map(|owner| format!(", then: {}", self.republish(owner))).unwrap_or_default();
        format!("{topic}/{number} stops: {what} Noticed at {time}. Run: {repair}{again}")
    }

    /// Returns the command after which all records of the log are read. Records that were applied before are recognised.
    fn rewind(&self, program: &str) -> String {
        let (topic, number) = &self.partition;
        match self.from() {
            Some(from) => format!("{program} rewind {topic} --partition {number} --to {from}"),
            None => format!("{program} rewind {topic} --to beginning"),
        }
    }

    /// Returns the command that publishes the lost records again. Records that were applied before are recognised.
    fn republish(&self, owner: &Owner) -> String {
        let (topic, program) = (&self.partition.0, &owner.program);
        match (owner.cleanup, self.from()) {
            (Cleanup::Compact, _) => format!("{program} republish {topic}"),
            (Cleanup::Delete, Some(from)) => format!("{program} republish {topic} --since {from}"),
            (Cleanup::Delete, None) => format!("{program} republish {topic} --unfinished"),
        }
    }

    /// Returns a moment before which nothing was lost, where one is known.
    fn from(&self) -> Option<String> {
        let appended = self.position.last.as_ref().and_then(|last| last.appended_at);
        let from = match self.reason {
            Reason::Expired { .. } => None,
            Reason::Truncated { .. } | Reason::Replaced { .. } => appended.map(|appended| appended - MARGIN),
        };
        from.and_then(|from| from.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::LastRecord;

    fn explain(position: &Position, reason: Reason) -> String {
        let owner = Owner { program: "till".to_owned(), cleanup: Cleanup::Delete };
        OffsetOutOfRange::new(&("t".to_owned(), 4), position, reason).explain("ledger", Some(&owner))
    }

    #[test]
    fn only_positions_outside_their_logs_are_out_of_range() {
        let reason = |next| Reason::of(&Position::at(next), &(5..9));
        assert_eq!([BEGINNING, 5, 9].map(reason), [None; 3]);
        assert_eq!(reason(4), Some(Reason::Expired { start: 5 }));
        assert_eq!(reason(10), Some(Reason::Truncated { end: 9 }));
    }

    #[test]
    fn an_alarm_describes_the_loss_and_names_the_commands() {
        let text = explain(&Position::at(4), Reason::Expired { start: 5 });
        assert!(text.contains("t/4 stops: retention deleted 1 records before offset 5"), "{text}");
        assert!(
            text.ends_with("Run: ledger rewind t --to beginning, then: till republish t --unfinished"),
            "{text}"
        );
        let text = explain(&Position::at(10), Reason::Truncated { end: 9 });
        assert!(text.contains("ends at 9, before position 10"), "{text}");
        assert!(
            text.ends_with("Run: ledger rewind t --to beginning, then: till republish t --unfinished"),
            "the time of the last record is not known: {text}"
        );
    }

    #[test]
    fn the_repair_begins_before_the_last_applied_record() {
        let identity = Identity::from_bytes(&[7; 16]).unwrap();
        let appended_at = OffsetDateTime::from_unix_timestamp(1_764_338_400).unwrap();
        let last = LastRecord { identity, appended_at: Some(appended_at) };
        let text = explain(&Position { next: 10, last: Some(last) }, Reason::Replaced { found: None });
        assert!(text.contains("at offset 9 it has no record"), "{text}");
        let commands = "Run: ledger rewind t --partition 4 --to 2025-11-28T13:00:00Z, \
                        then: till republish t --since 2025-11-28T13:00:00Z";
        assert!(text.ends_with(commands), "{text}");
    }
}
