use super::out_of_range::Reason;
use super::*;
use crate::logs::Logs;
use crate::positions::Position;
use crate::record::{Record, Timestamp};

fn partition(number: i32) -> Partition {
    ("t".to_owned(), number)
}

fn identity(value: &str) -> Identity {
    let record = Record {
        topic: "t".to_owned(),
        partition: 0,
        offset: 9,
        timestamp: Timestamp::Appended(1),
        key: None,
        value: Some(value.into()),
        headers: None,
    };
    Identity::of(&record, "t")
}

fn after(value: &str) -> Position {
    let last = positions::LastRecord { identity: identity(value), appended_at: None };
    Position { next: 10, last: Some(last) }
}

/// Returns an assignment of partition 0 with `position`, which has started.
fn reading(position: Position) -> Assignment {
    let assignment = Assignment::default();
    assignment.assign([(partition(0), position)].into());
    assignment.start([&partition(0)]);
    assignment
}

impl Assignment {
    fn receives(&self, offset: i64, cleanup: Cleanup, value: &str) -> bool {
        self.admits(&partition(0), offset, cleanup, || identity(value))
    }

    fn compares_with(&self, log: std::ops::Range<i64>) {
        let suspected = self.take_suspicion();
        self.judge(&self.positions(), &Logs::from([(partition(0), log)]), suspected);
    }

    fn reason(&self) -> Option<Reason> {
        self.out_of_range().first().map(|found| found.reason)
    }

    fn is_restarted(&self) -> bool {
        self.lock().restarts.contains(&partition(0))
    }
}

#[test]
fn reading_starts_at_the_last_applied_record_and_continues_when_it_is_there() {
    let assignment = Assignment::default();
    let fresh = Position::at(positions::BEGINNING);
    assignment.assign([(partition(0), after("a")), (partition(1), fresh)].into());
    let from = assignment.start([&partition(0), &partition(1), &partition(2)]);
    assert_eq!(from, BTreeMap::from([(partition(0), 9), (partition(1), positions::BEGINNING)]));
    assert!(!assignment.receives(9, Cleanup::Delete, "a"), "the record was applied before");
    assert!(assignment.receives(10, Cleanup::Delete, "b") && assignment.receives(11, Cleanup::Delete, "c"));
    assert_eq!(assignment.reason(), None);
}

#[test]
fn another_record_in_its_place_stops_the_partition_for_good() {
    let assignment = reading(after("a"));
    assert!(!assignment.receives(9, Cleanup::Delete, "other"));
    assert_eq!(assignment.reason(), Some(Reason::Replaced { found: Some(identity("other")) }));
    assert!(!assignment.receives(10, Cleanup::Delete, "b"), "no later record is applied");
    assignment.suspect();
    assignment.compares_with(0..20);
    assert!(assignment.start([&partition(0)]).is_empty());
    assignment.assign([(partition(0), Position::at(3))].into());
    assert_eq!(assignment.start([&partition(0)]), BTreeMap::from([(partition(0), 3)]), "until it is rewound");
}

#[test]
fn a_log_that_ends_before_the_position_stops_and_is_verified_when_it_has_grown() {
    let assignment = reading(after("a"));
    assignment.compares_with(0..9);
    assert_eq!(assignment.reason(), Some(Reason::Truncated { end: 9 }));
    assignment.compares_with(0..10);
    assert_eq!(assignment.reason(), None);
    assert!(assignment.is_restarted());
    assert_eq!(assignment.start([&partition(0)]), BTreeMap::from([(partition(0), 9)]));

    let assignment = reading(Position::at(10));
    assignment.suspect();
    assignment.compares_with(0..9);
    assignment.compares_with(0..12);
    assert_eq!(
        assignment.reason(),
        Some(Reason::Truncated { end: 9 }),
        "nothing shows that it is the same log"
    );
}

#[test]
fn a_missing_last_record_is_accepted_only_where_cleanup_may_have_deleted_it() {
    let compacted = reading(after("a"));
    assert!(compacted.receives(12, Cleanup::Compact, "b"));

    let expired = reading(after("a"));
    assert!(!expired.receives(12, Cleanup::Delete, "b"), "first the start of the log is looked up");
    expired.compares_with(10..13);
    assert!(expired.is_restarted() && expired.reason().is_none());
    assert_eq!(expired.start([&partition(0)]), BTreeMap::from([(partition(0), 10)]));
    assert!(expired.receives(12, Cleanup::Delete, "b"));

    let rewritten = reading(after("a"));
    assert!(!rewritten.receives(12, Cleanup::Delete, "b"));
    rewritten.compares_with(3..13);
    assert_eq!(rewritten.reason(), Some(Reason::Replaced { found: None }));
}

#[test]
fn after_a_refusal_all_readable_partitions_are_restarted() {
    let assignment = reading(after("a"));
    assignment.receives(9, Cleanup::Delete, "a");
    assignment.suspect();
    assignment.compares_with(0..40);
    assert!(assignment.is_restarted(), "one partition is silent, and nothing says which");
    assert_eq!(assignment.reason(), None);
}

#[test]
fn a_partition_is_behind_while_records_wait_and_not_before_a_hole() {
    let assignment = reading(after("a"));
    let behind = |assignment: &Assignment, fetched: bool| {
        assignment.behind(&[(partition(0), 12)].into(), |_, _| fetched)
    };
    assert_eq!(behind(&assignment, false), BTreeMap::from([(partition(0), 10)]));
    assert!(behind(&assignment, true).is_empty(), "a transaction's marker, or what compaction has left");
    assignment.receives(9, Cleanup::Delete, "a");
    assignment.receives(10, Cleanup::Delete, "b");
    assert_eq!(behind(&assignment, true).len(), 1, "the handler has the record and does not return");
    assert!(assignment.behind(&[(partition(0), 10)].into(), |_, _| false).is_empty());
}
