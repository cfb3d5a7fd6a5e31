//! The reading of one partition: its position, whether its log is verified, and why it cannot be read.

use std::time::{Duration, Instant};

use envelope::Cleanup;

use super::out_of_range::{OffsetOutOfRange, Reason};
use crate::positions::Position;
use crate::record::{Identity, Partition};

#[derive(Debug)]
pub(super) struct Reading {
    pub position: Position,
    /// The offset after the last record that was received to be applied.
    pub received: i64,
    pub verification: Verification,
    /// The first offset of the log when Kafka was last asked.
    pub log_start: Option<i64>,
    pub out_of_range: Option<OffsetOutOfRange>,
}

/// Whether the log still has the last applied record right before the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    /// The record has not arrived yet.
    Pending,
    /// A later record arrived instead.
    Missing,
    /// At this moment the record was read, or written, or was found to be no longer kept.
    Passed(Instant),
}

/// The meaning of a record that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The record must be applied.
    Next,
    /// The record was applied before, or its partition cannot be read.
    Ignored,
    /// The log may not be the one that was read before; the monitor must compare.
    Suspicious,
}

impl Reading {
    pub(super) fn new(position: Position) -> Self {
        let verification = Verification::Passed(Instant::now());
        Self { received: position.next, position, verification, log_start: None, out_of_range: None }
    }

    /// Starts reading and returns the offset to read from; `None`: the partition cannot be read.
    pub(super) fn start(&mut self, partition: &Partition) -> Option<i64> {
        if self.out_of_range.is_some() {
            return None;
        }
        let next = self.position.next;
        (self.received, self.verification) = (next, Verification::Passed(Instant::now()));
        if self.position.last.is_none() {
            return Some(next);
        }
        if self.is_last_expired() {
            self.continue_unverified(partition);
            return Some(next);
        }
        self.verification = Verification::Pending;
        Some(next - 1)
    }

    /// Returns whether retention has deleted the last applied record.
    pub(super) fn is_last_expired(&self) -> bool {
        self.log_start.is_some_and(|start| self.position.next <= start)
    }

    pub(super) fn receive(
        &mut self,
        partition: &Partition,
        offset: i64,
        cleanup: Cleanup,
        identity: impl FnOnce() -> Identity,
    ) -> Arrival {
        let next = self.position.next;
        if self.out_of_range.is_some() || self.verification == Verification::Missing {
            return Arrival::Ignored;
        }
        if offset < next {
            return if offset + 1 == next { self.verify(partition, identity) } else { Arrival::Ignored };
        }
        if self.verification == Verification::Pending {
            match cleanup {
                // A later state of the key has replaced the last record.
                Cleanup::Compact => self.continue_unverified(partition),
                // Retention deletes only the first records of a log: the monitor looks up where the log begins.
                Cleanup::Delete => {
                    self.verification = Verification::Missing;
                    return Arrival::Suspicious;
                }
            }
        }
        self.received = offset + 1;
        Arrival::Next
    }

    /// Compares the record right before the position with the one that was applied last.
    fn verify(&mut self, partition: &Partition, identity: impl FnOnce() -> Identity) -> Arrival {
        let Some(last) = self.position.last.as_ref().filter(|_| self.verification == Verification::Pending)
        else {
            return Arrival::Ignored;
        };
        let found = identity();
        if found == last.identity {
            self.verification = Verification::Passed(Instant::now());
            return Arrival::Ignored;
        }
        self.stop(partition, Reason::Replaced { found: Some(found) });
        Arrival::Suspicious
    }

    /// Continues without the last applied record, which is no longer kept. That is normal and says nothing about the log.
    fn continue_unverified(&mut self, partition: &Partition) {
        let (topic, partition) = partition;
        self.verification = Verification::Passed(Instant::now());
        metrics::counter!("consumer_unverified_total", "topic" => topic.clone()).increment(1);
        tracing::debug!(topic, partition, "the last applied record is no longer kept; reading unverified");
    }

    pub(super) fn stop(&mut self, partition: &Partition, reason: Reason) {
        self.out_of_range = Some(OffsetOutOfRange::new(partition, &self.position, reason));
    }

    pub(super) fn is_unverified_for(&self, duration: Duration) -> bool {
        let is_old = matches!(self.verification, Verification::Passed(at) if at.elapsed() >= duration);
        is_old && self.out_of_range.is_none() && self.position.last.is_some()
    }

    pub(super) fn has_unapplied_records(&self) -> bool {
        self.received > self.position.next
    }
}
