//! What a member of the group holds: its partitions, where each is read on, and which of them cannot be.
//!
//! Shared between the loop that reads, the applier that moves on, and the monitor that measures against Kafka's logs.
//! A partition is read from the record before its position, which must be the one that was applied: offsets alone do not
//! show a log that was cut or made anew and has grown past the position since.

mod judge;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use envelope::Cleanup;
use tokio::sync::Notify;

use self::reading::{Check, Reading, Saw};
use super::out_of_range::OffsetOutOfRange;
use crate::positions::{self, Partition, Positions, Step};
use crate::record::Identity;

#[derive(Debug, Default)]
pub(crate) struct Assignment {
    inner: Mutex<Inner>,
    /// Something was noticed that the monitor must compare with Kafka's logs.
    suspected: Notify,
    /// Some partitions are to be read again from the record before their positions.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// The group has answered.
    joined: bool,
    partitions: BTreeMap<Partition, Reading>,
    /// Kafka refused a position, and it does not say of which partition.
    suspected: bool,
    again: BTreeSet<Partition>,
}

impl Assignment {
    pub(super) fn positions(&self) -> Positions {
        let inner = self.lock();
        let position =
            |(partition, reading): (&Partition, &Reading)| (partition.clone(), reading.position.clone());
        inner.partitions.iter().map(position).collect()
    }

    /// How many partitions are held; `None` until the group has answered.
    pub(super) fn count(&self) -> Option<usize> {
        let inner = self.lock();
        inner.joined.then_some(inner.partitions.len())
    }

    /// These partitions are held from now on, or read on elsewhere; whatever was found out about them before is void.
    pub(super) fn assign(&self, positions: Positions) {
        let mut inner = self.lock();
        inner.joined = true;
        let readings = positions.into_iter().map(|(partition, position)| (partition, Reading::new(position)));
        inner.partitions.extend(readings);
    }

    pub(super) fn revoke(&self, partitions: &BTreeSet<Partition>) {
        self.lock().partitions.retain(|partition, _| !partitions.contains(partition));
    }

    /// Begins to read these partitions, as far as they are held and not lost, and returns from which offset each: that
    /// of the record before its position where that is known and still kept.
    pub(super) fn begin<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a Partition>,
    ) -> BTreeMap<Partition, i64> {
        let mut inner = self.lock();
        let mut begin = |partition: &Partition| {
            let from = inner.partitions.get_mut(partition)?.begin(partition)?;
            Some((partition.clone(), from))
        };
        partitions.into_iter().filter_map(&mut begin).collect()
    }

    /// Whether the record at `offset` is to be applied. It is not when it stands before the position, as the record
    /// does by which the log is verified.
    pub(super) fn admits(
        &self,
        partition: &Partition,
        offset: i64,
        cleanup: Cleanup,
        identity: impl FnOnce() -> Identity,
    ) -> bool {
        let mut inner = self.lock();
        let Some(reading) = inner.partitions.get_mut(partition) else { return false };
        let saw = reading.see(partition, offset, cleanup, identity);
        if saw == Saw::Suspicious {
            self.suspected.notify_one();
        }
        saw == Saw::Next
    }

    /// The steps that carry each partition from where it is to `next`.
    pub(crate) fn steps(&self, next: Positions) -> Vec<Step> {
        let inner = self.lock();
        let step = |(partition, next)| {
            let held = inner.partitions.get(&partition);
            let expected = held.map_or(positions::BEGINNING, |reading| reading.position.next);
            Step { partition, expected, next }
        };
        next.into_iter().map(step).collect()
    }

    /// These steps are committed.
    pub(crate) fn advance(&self, steps: Vec<Step>) {
        let mut inner = self.lock();
        for Step { partition, next, .. } in steps {
            if let Some(reading) = inner.partitions.get_mut(&partition) {
                reading.position = next;
                reading.check = Check::Passed(Instant::now());
            }
        }
    }

    /// The partitions whose logs were not compared with the last applied record for this long.
    pub(super) fn idle(&self, long: Duration) -> BTreeSet<Partition> {
        let inner = self.lock();
        let idle = inner.partitions.iter().filter(|(_, reading)| reading.is_idle(long));
        idle.map(|(partition, _)| partition.clone()).collect()
    }

    /// Of the positions, those of partitions that have records to read up to the given ends of their logs. `fetched` says
    /// whether librdkafka has fetched all before an end: then what was not handed over is no record.
    pub(super) fn behind(
        &self,
        ends: &BTreeMap<Partition, i64>,
        fetched: impl Fn(&Partition, i64) -> bool,
    ) -> BTreeMap<Partition, i64> {
        let inner = self.lock();
        let is_behind = |(partition, end): &(&Partition, &i64)| {
            let reading = inner.partitions.get(*partition)?;
            let next = reading.position.next;
            let is_hole = fetched(partition, **end) && !reading.has_records_in_hand();
            (reading.lost.is_none() && next < **end && !is_hole).then(|| ((*partition).clone(), next))
        };
        ends.iter().filter_map(|found| is_behind(&found)).collect()
    }

    /// Kafka refused a position; it does not say of which partition.
    pub(super) fn suspect(&self) {
        self.lock().suspected = true;
        self.suspected.notify_one();
    }

    pub(super) async fn suspicion(&self) {
        self.suspected.notified().await;
    }

    /// Has these partitions read again from the record before their positions.
    pub(super) fn want(&self, partitions: impl IntoIterator<Item = Partition>) {
        self.lock().again.extend(partitions);
        self.wanted.notify_one();
    }

    /// Waits until some are to be read again, and returns them.
    pub(super) async fn wanted(&self) -> BTreeSet<Partition> {
        self.wanted.notified().await;
        std::mem::take(&mut self.lock().again)
    }

    pub(super) fn lost(&self) -> Vec<OffsetOutOfRange> {
        self.lock().partitions.values().filter_map(|reading| reading.lost.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
