//! The partitions assigned to this member of the group: the position of each, and which of them cannot be read.
//!
//! The session, which reads, the applier, which advances positions, and the monitor, which compares them with Kafka's logs,
//! share it. A partition is read from the record before its position, and that record must be the one that was applied
//! last: offsets alone do not show a log that was truncated or created again and has grown past the position since.

mod judge;
mod out_of_range;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use envelope::Cleanup;
use tokio::sync::Notify;

pub(crate) use self::out_of_range::{OffsetOutOfRange, Owner};
use self::reading::{Arrival, Reading, Verification};
use crate::positions::{self, PositionUpdate, Positions};
use crate::record::{Identity, Partition};

#[derive(Debug, Default)]
pub(crate) struct Assignment {
    inner: Mutex<Inner>,
    /// Wakes the monitor, which must compare the positions with Kafka's logs.
    suspicion: Notify,
    /// Wakes the session, which must start reading some partitions again.
    restart: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether the group has answered.
    joined: bool,
    partitions: BTreeMap<Partition, Reading>,
    /// Whether Kafka has refused a position; the error does not name the partition.
    suspected: bool,
    restarts: BTreeSet<Partition>,
}

impl Assignment {
    pub(crate) fn positions(&self) -> Positions {
        let inner = self.lock();
        let position =
            |(partition, reading): (&Partition, &Reading)| (partition.clone(), reading.position.clone());
        inner.partitions.iter().map(position).collect()
    }

    /// Returns the number of assigned partitions; `None` until the group has answered.
    pub(crate) fn count(&self) -> Option<usize> {
        let inner = self.lock();
        inner.joined.then_some(inner.partitions.len())
    }

    /// Assigns partitions or moves their positions. Earlier findings about them are void.
    pub(crate) fn assign(&self, positions: Positions) {
        let mut inner = self.lock();
        inner.joined = true;
        let readings = positions.into_iter().map(|(partition, position)| (partition, Reading::new(position)));
        inner.partitions.extend(readings);
    }

    pub(crate) fn revoke(&self, partitions: &BTreeSet<Partition>) {
        self.lock().partitions.retain(|partition, _| !partitions.contains(partition));
    }

    /// Starts reading those of `partitions` that are assigned and can be read, and returns the offset to read each from: the
    /// offset of the record before its position, where that record is known and still kept.
    pub(crate) fn start<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a Partition>,
    ) -> BTreeMap<Partition, i64> {
        let mut inner = self.lock();
        let mut start = |partition: &Partition| {
            let from = inner.partitions.get_mut(partition)?.start(partition)?;
            Some((partition.clone(), from))
        };
        partitions.into_iter().filter_map(&mut start).collect()
    }

    /// Returns whether the record at `offset` must be applied. A record before the position must not: it only verifies the
    /// log.
    pub(crate) fn admits(
        &self,
        partition: &Partition,
        offset: i64,
        cleanup: Cleanup,
        identity: impl FnOnce() -> Identity,
    ) -> bool {
        let mut inner = self.lock();
        let Some(reading) = inner.partitions.get_mut(partition) else { return false };
        let arrival = reading.receive(partition, offset, cleanup, identity);
        if arrival == Arrival::Suspicious {
            self.suspicion.notify_one();
        }
        arrival == Arrival::Next
    }

    /// Returns the updates that advance each partition from its present position to `next`.
    pub(crate) fn updates(&self, next: Positions) -> Vec<PositionUpdate> {
        let inner = self.lock();
        let update = |(partition, next)| {
            let reading = inner.partitions.get(&partition);
            let expected = reading.map_or(positions::BEGINNING, |reading| reading.position.next);
            PositionUpdate { partition, expected, next }
        };
        next.into_iter().map(update).collect()
    }

    /// Advances the positions by committed updates.
    pub(crate) fn advance(&self, updates: Vec<PositionUpdate>) {
        let mut inner = self.lock();
        for PositionUpdate { partition, next, .. } in updates {
            if let Some(reading) = inner.partitions.get_mut(&partition) {
                reading.position = next;
                reading.verification = Verification::Passed(Instant::now());
            }
        }
    }

    /// Returns the partitions whose logs were not verified for `duration`.
    pub(crate) fn unverified_for(&self, duration: Duration) -> BTreeSet<Partition> {
        let inner = self.lock();
        let idle = inner.partitions.iter().filter(|(_, reading)| reading.is_unverified_for(duration));
        idle.map(|(partition, _)| partition.clone()).collect()
    }

    /// Returns the positions of the partitions that have records to read before the given ends of their logs. `fetched` says
    /// whether librdkafka has fetched everything before an end: then the offsets that it did not deliver hold no record.
    pub(crate) fn behind(
        &self,
        ends: &BTreeMap<Partition, i64>,
        fetched: impl Fn(&Partition, i64) -> bool,
    ) -> BTreeMap<Partition, i64> {
        let inner = self.lock();
        let is_behind = |(partition, end): (&Partition, &i64)| {
            let reading = inner.partitions.get(partition)?;
            let next = reading.position.next;
            let is_hole = fetched(partition, *end) && !reading.has_unapplied_records();
            (reading.out_of_range.is_none() && next < *end && !is_hole).then(|| (partition.clone(), next))
        };
        ends.iter().filter_map(is_behind).collect()
    }

    /// Notes that Kafka has refused a position; the error does not name the partition.
    pub(crate) fn suspect(&self) {
        self.lock().suspected = true;
        self.suspicion.notify_one();
    }

    pub(crate) async fn suspicion(&self) {
        self.suspicion.notified().await;
    }

    /// Requests that the session starts reading these partitions again from the record before their positions.
    pub(crate) fn request_restart(&self, partitions: impl IntoIterator<Item = Partition>) {
        self.lock().restarts.extend(partitions);
        self.restart.notify_one();
    }

    /// Waits for requests to start reading again, and returns the partitions.
    pub(crate) async fn requested_restarts(&self) -> BTreeSet<Partition> {
        self.restart.notified().await;
        std::mem::take(&mut self.lock().restarts)
    }

    pub(crate) fn out_of_range(&self) -> Vec<OffsetOutOfRange> {
        self.lock().partitions.values().filter_map(|reading| reading.out_of_range.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
