//! How one partition is read: where, whether its log was verified, and what was found against it.

use std::time::{Duration, Instant};

use envelope::Cleanup;

use crate::consumer::out_of_range::{OffsetOutOfRange, Why};
use crate::positions::{Partition, Position};
use crate::record::Identity;

#[derive(Debug)]
pub(super) struct Reading {
    pub position: Position,
    /// Behind the last record that was handed over to be applied.
    pub read: i64,
    pub check: Check,
    /// Where the log began when Kafka was last asked.
    pub start: Option<i64>,
    pub lost: Option<OffsetOutOfRange>,
}

/// Whether the log still has the last applied record right before the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// The record is awaited.
    Awaited,
    /// It did not come, and a later one did.
    Missing,
    /// The record was read or written then, or is not kept any more.
    Passed(Instant),
}

/// What a record that arrives means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saw {
    /// It is to be applied.
    Next,
    /// It was applied, or its partition is lost.
    Nothing,
    /// The log may not be the one that was read; the monitor should look.
    Suspicious,
}

impl Reading {
    pub(super) fn new(position: Position) -> Self {
        let check = Check::Passed(Instant::now());
        Self { read: position.next, position, check, start: None, lost: None }
    }

    /// The offset to read from; `None`: the partition is lost.
    pub(super) fn begin(&mut self, partition: &Partition) -> Option<i64> {
        if self.lost.is_some() {
            return None;
        }
        let next = self.position.next;
        (self.read, self.check) = (next, Check::Passed(Instant::now()));
        if self.position.last.is_none() {
            return Some(next);
        }
        if self.is_last_expired() {
            self.go_on_unverified(partition);
            return Some(next);
        }
        self.check = Check::Awaited;
        Some(next - 1)
    }

    /// Retention has deleted the last applied record.
    pub(super) fn is_last_expired(&self) -> bool {
        self.start.is_some_and(|start| self.position.next <= start)
    }

    pub(super) fn see(
        &mut self,
        partition: &Partition,
        offset: i64,
        cleanup: Cleanup,
        identity: impl FnOnce() -> Identity,
    ) -> Saw {
        let next = self.position.next;
        if self.lost.is_some() || self.check == Check::Missing {
            return Saw::Nothing;
        }
        if offset < next {
            return if offset + 1 == next { self.verify(partition, identity) } else { Saw::Nothing };
        }
        if self.check == Check::Awaited {
            match cleanup {
                // A later state of its key has taken its place.
                Cleanup::Compact => self.go_on_unverified(partition),
                // Retention takes a log's first records alone: the monitor asks where the log begins.
                Cleanup::Delete => {
                    self.check = Check::Missing;
                    return Saw::Suspicious;
                }
            }
        }
        self.read = offset + 1;
        Saw::Next
    }

    /// Compares the record that stands right before the position with the one that was applied.
    fn verify(&mut self, partition: &Partition, identity: impl FnOnce() -> Identity) -> Saw {
        let Some(last) = self.position.last.as_ref().filter(|_| self.check == Check::Awaited) else {
            return Saw::Nothing;
        };
        let found = identity();
        if found == last.identity {
            self.check = Check::Passed(Instant::now());
            return Saw::Nothing;
        }
        self.lose(partition, Why::Rewritten { found: Some(found) });
        Saw::Suspicious
    }

    /// The last applied record is not kept any more, as may be: nothing is known against the log.
    fn go_on_unverified(&mut self, partition: &Partition) {
        let (topic, partition) = partition;
        self.check = Check::Passed(Instant::now());
        metrics::counter!("consumer_unverified_total", "topic" => topic.clone()).increment(1);
        tracing::debug!(
            topic,
            partition,
            "the last applied record is not kept any more; reading on unverified"
        );
    }

    pub(super) fn lose(&mut self, partition: &Partition, why: Why) {
        self.lost = Some(OffsetOutOfRange::new(partition, &self.position, why));
    }

    pub(super) fn is_idle(&self, long: Duration) -> bool {
        let is_old = matches!(self.check, Check::Passed(at) if at.elapsed() >= long);
        is_old && self.lost.is_none() && self.position.last.is_some()
    }

    /// Some records were handed over and are not applied yet.
    pub(super) fn has_records_in_hand(&self) -> bool {
        self.read > self.position.next
    }
}
