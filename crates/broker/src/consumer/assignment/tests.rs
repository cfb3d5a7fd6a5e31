use rdkafka::Timestamp;

use super::*;
use crate::consumer::out_of_range::Why;
use crate::logs::Logs;
use crate::positions::Position;
use crate::record::Record;

fn partition(number: i32) -> Partition {
    ("t".to_owned(), number)
}

fn identity(value: &str) -> Identity {
    let record = Record {
        topic: "t".to_owned(),
        partition: 0,
        offset: 9,
        timestamp: Timestamp::LogAppendTime(1),
        key: None,
        value: Some(value.into()),
        headers: None,
    };
    Identity::of(&record, "t")
}

fn behind(value: &str) -> Position {
    let last = positions::LastRecord { identity: identity(value), appended_at: None };
    Position { next: 10, last: Some(last) }
}

/// A member that holds partition 0 with `position` and has begun to read it.
fn reading(position: Position) -> Assignment {
    let assignment = Assignment::default();
    assignment.assign([(partition(0), position)].into());
    assignment.begin([&partition(0)]);
    assignment
}

impl Assignment {
    fn sees(&self, offset: i64, cleanup: Cleanup, value: &str) -> bool {
        self.admits(&partition(0), offset, cleanup, || identity(value))
    }

    fn compares_with(&self, log: std::ops::Range<i64>) {
        let suspected = self.take_suspicion();
        self.judge(&self.positions(), &Logs::from([(partition(0), log)]), suspected);
    }

    fn reason(&self) -> Option<Why> {
        self.lost().first().map(|lost| lost.why)
    }

    fn is_wanted(&self) -> bool {
        self.lock().again.contains(&partition(0))
    }
}

#[test]
fn reading_begins_at_the_last_applied_record_and_goes_on_when_it_is_there() {
    let assignment = Assignment::default();
    let fresh = Position::at(positions::BEGINNING);
    assignment.assign([(partition(0), behind("a")), (partition(1), fresh)].into());
    let from = assignment.begin([&partition(0), &partition(1), &partition(2)]);
    assert_eq!(from, BTreeMap::from([(partition(0), 9), (partition(1), positions::BEGINNING)]));
    assert!(!assignment.sees(9, Cleanup::Delete, "a"), "it is applied already");
    assert!(assignment.sees(10, Cleanup::Delete, "b") && assignment.sees(11, Cleanup::Delete, "c"));
    assert_eq!(assignment.reason(), None);
}

#[test]
fn another_record_at_its_place_loses_the_partition_for_good() {
    let assignment = reading(behind("a"));
    assert!(!assignment.sees(9, Cleanup::Delete, "other"));
    assert_eq!(assignment.reason(), Some(Why::Rewritten { found: Some(identity("other")) }));
    assert!(!assignment.sees(10, Cleanup::Delete, "b"), "nothing behind it is applied");
    assignment.suspect();
    assignment.compares_with(0..20);
    assert!(assignment.begin([&partition(0)]).is_empty());
    assignment.assign([(partition(0), Position::at(3))].into());
    assert_eq!(assignment.begin([&partition(0)]), BTreeMap::from([(partition(0), 3)]), "until it is rewound");
}

#[test]
fn a_log_that_ends_before_the_position_is_lost_and_verified_when_it_has_grown() {
    let assignment = reading(behind("a"));
    assignment.compares_with(0..9);
    assert_eq!(assignment.reason(), Some(Why::Cut { end: 9 }));
    assignment.compares_with(0..10);
    assert_eq!(assignment.reason(), None);
    assert!(assignment.is_wanted());
    assert_eq!(assignment.begin([&partition(0)]), BTreeMap::from([(partition(0), 9)]));

    let assignment = reading(Position::at(10));
    assignment.suspect();
    assignment.compares_with(0..9);
    assignment.compares_with(0..12);
    assert_eq!(assignment.reason(), Some(Why::Cut { end: 9 }), "nothing can show that it is the same log");
}

#[test]
fn a_missing_last_record_is_right_where_it_may_have_gone_and_wrong_elsewhere() {
    let compacted = reading(behind("a"));
    assert!(compacted.sees(12, Cleanup::Compact, "b"));

    let expired = reading(behind("a"));
    assert!(!expired.sees(12, Cleanup::Delete, "b"), "first it is asked where the log begins");
    expired.compares_with(10..13);
    assert!(expired.is_wanted() && expired.reason().is_none());
    assert_eq!(expired.begin([&partition(0)]), BTreeMap::from([(partition(0), 10)]));
    assert!(expired.sees(12, Cleanup::Delete, "b"));

    let rewritten = reading(behind("a"));
    assert!(!rewritten.sees(12, Cleanup::Delete, "b"));
    rewritten.compares_with(3..13);
    assert_eq!(rewritten.reason(), Some(Why::Rewritten { found: None }));
}

#[test]
fn after_a_refusal_everything_that_is_not_lost_is_read_again() {
    let assignment = reading(behind("a"));
    assignment.sees(9, Cleanup::Delete, "a");
    assignment.suspect();
    assignment.compares_with(0..40);
    assert!(assignment.is_wanted(), "one of them is silent, and nothing says which");
    assert_eq!(assignment.reason(), None);
}

#[test]
fn a_partition_is_behind_while_records_wait_and_not_before_a_hole() {
    let assignment = reading(behind("a"));
    let behind = |assignment: &Assignment, fetched: bool| {
        assignment.behind(&[(partition(0), 12)].into(), |_, _| fetched)
    };
    assert_eq!(behind(&assignment, false), BTreeMap::from([(partition(0), 10)]));
    assert!(behind(&assignment, true).is_empty(), "a transaction's marker, or what compaction has left");
    assignment.sees(9, Cleanup::Delete, "a");
    assignment.sees(10, Cleanup::Delete, "b");
    assert_eq!(behind(&assignment, true).len(), 1, "the handler has it, and does not come back");
    assert!(assignment.behind(&[(partition(0), 10)].into(), |_, _| false).is_empty());
}
