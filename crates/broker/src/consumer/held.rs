//! What a member of the group holds: its partitions, where each is read on, and which of them the log cannot serve.
//!
//! Shared between the loop that reads, the settler that moves on, and the monitor that measures against Kafka's logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::lost::Lost;
use crate::positions::{self, Partition, Positions, Step};

#[derive(Debug, Default)]
pub(crate) struct Held {
    inner: Mutex<Inner>,
    /// Kafka refused a position, and it is not known yet which.
    suspected: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// The group has answered.
    joined: bool,
    positions: Positions,
    lost: BTreeMap<Partition, Lost>,
    suspected: bool,
}

impl Held {
    pub(super) fn positions(&self) -> Positions {
        self.lock().positions.clone()
    }

    /// Where this partition is read on, if it is held.
    pub(super) fn position(&self, partition: &Partition) -> Option<i64> {
        self.lock().positions.get(partition).copied()
    }

    /// How many partitions are held; `None` until the group has answered.
    pub(super) fn count(&self) -> Option<usize> {
        let inner = self.lock();
        inner.joined.then_some(inner.positions.len())
    }

    pub(super) fn assign(&self, positions: Positions) {
        let mut inner = self.lock();
        inner.joined = true;
        inner.positions.extend(positions);
    }

    pub(super) fn revoke(&self, partitions: &BTreeSet<Partition>) {
        let mut inner = self.lock();
        inner.positions.retain(|partition, _| !partitions.contains(partition));
        inner.lost.retain(|partition, _| !partitions.contains(partition));
    }

    /// These are read on elsewhere from now on, wherever the log did not serve them before.
    pub(super) fn moved(&self, positions: Positions) {
        let mut inner = self.lock();
        inner.lost.retain(|partition, _| !positions.contains_key(partition));
        inner.positions.extend(positions);
    }

    /// The steps that carry each partition from where it is to `next`.
    pub(crate) fn steps(&self, next: Positions) -> Vec<Step> {
        let inner = self.lock();
        let step = |(partition, next)| {
            let expected = inner.positions.get(&partition).copied().unwrap_or(positions::BEGINNING);
            Step { partition, expected, next }
        };
        next.into_iter().map(step).collect()
    }

    /// These steps are committed.
    pub(crate) fn advance(&self, steps: Vec<Step>) {
        self.lock().positions.extend(steps.into_iter().map(|step| (step.partition, step.next)));
    }

    /// Kafka refused a position; it does not say of which partition.
    pub(super) fn suspect(&self) {
        self.lock().suspected = true;
        self.suspected.notify_one();
    }

    pub(super) fn is_suspected(&self) -> bool {
        self.lock().suspected
    }

    pub(super) async fn suspicion(&self) {
        self.suspected.notified().await;
    }

    /// What was found about the suspicion: those of `lost` that still stand where they stood; returns the new ones.
    pub(super) fn found(&self, lost: Vec<Lost>) -> Vec<Lost> {
        let mut inner = self.lock();
        inner.suspected = false;
        let mut news = Vec::new();
        for lost in lost {
            if inner.positions.get(&lost.partition) == Some(&lost.position)
                && inner.lost.insert(lost.partition.clone(), lost.clone()).as_ref() != Some(&lost)
            {
                news.push(lost);
            }
        }
        news
    }

    pub(super) fn lost(&self) -> Vec<Lost> {
        self.lock().lost.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
