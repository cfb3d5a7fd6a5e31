//! The partitions that a session reads, and the offsets from which it reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Rebalance;
use super::session::Session;
use crate::logs;
use crate::positions::{self, BEGINNING, Position, StoredPosition};
use crate::record::Partition;

/// The pause between two attempts to read positions.
const POSITIONS_AGAIN: Duration = Duration::from_millis(500);

/// The positions of partitions as the database has them.
type Stored = BTreeMap<Partition, StoredPosition>;

impl Session {
    pub(super) async fn rebalance(&mut self, rebalance: Rebalance) -> KafkaResult<()> {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions assigned");
                let Some(stored) = self.read_positions(&partitions).await else {
                    return Ok(());
                };
                self.assign(stored);
                self.consumer.0.incremental_assign(&self.list(&self.assignment.start(&partitions))?)?;
                // A killed member has not committed its last second; without this, its lag would stay until the next record.
                self.store_offsets(&partitions);
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions revoked");
                self.assignment.revoke(&partitions);
                self.batch.discard(&partitions);
                self.consumer.0.incremental_unassign(&list)?;
            }
        }
        let partitions = self.assignment.count();
        self.shared
            .status
            .send_if_modified(|status| std::mem::replace(&mut status.partitions, partitions) != partitions);
        Ok(())
    }

    /// Reads the stored positions again. Where they differ from those of this process, reading continues at the stored ones.
    /// Verifies the logs of partitions that were idle for `idle`.
    pub(super) async fn refresh(&mut self, idle: Duration) -> KafkaResult<()> {
        let assigned: Vec<Partition> = self.assignment.positions().into_keys().collect();
        match positions::select(self.shared.outbox.pool(), &assigned).await {
            Ok(stored) => {
                if self.went_back(&assigned, &stored).await {
                    return Ok(());
                }
                self.follow_moved(stored)?;
            }
            // The next batch reports the outage, if there is a batch.
            Err(error) => tracing::debug!(%error, "positions cannot be read"),
        }
        self.start_reading(&self.assignment.unverified_for(idle))
    }

    /// Continues at the stored positions where they differ from those of this process.
    fn follow_moved(&self, mut stored: Stored) -> KafkaResult<()> {
        let assigned = self.assignment.positions();
        stored.retain(|partition, stored| assigned.get(partition) != Some(&stored.position));
        let moved: BTreeSet<Partition> = stored.keys().cloned().collect();
        if !moved.is_empty() {
            tracing::info!(partitions = moved.len(), "positions were moved; reading from the new positions");
            self.assign(stored);
        }
        self.start_reading(&moved)
    }

    /// Continues at the stored positions of these partitions.
    pub(super) async fn restart_from_database(&mut self, partitions: BTreeSet<Partition>) -> KafkaResult<()> {
        let Some(stored) = self.read_positions(&partitions).await else {
            return Ok(());
        };
        let asked: Vec<Partition> = partitions.iter().cloned().collect();
        if self.went_back(&asked, &stored).await {
            return Ok(());
        }
        self.assign(stored);
        self.start_reading(&partitions)
    }

    /// Returns whether the database went back in time: a position of this process is higher than the stored one ever was, or
    /// the database was repaired while this process ran. The session ends then.
    async fn went_back(&mut self, asked: &[Partition], stored: &Stored) -> bool {
        self.older_database = self.fallen_position(asked, stored);
        if self.older_database.is_none() {
            match self.shared.outbox.lineage_changed().await {
                Ok(changed) => self.older_database = changed,
                Err(error) => tracing::debug!(%error, "the generation cannot be read"),
            }
        }
        self.older_database.is_some()
    }

    fn fallen_position(&self, asked: &[Partition], stored: &Stored) -> Option<String> {
        let assigned = self.assignment.positions();
        asked.iter().find_map(|partition| {
            let next = assigned.get(partition)?.next;
            let highest = stored.get(partition).map_or(BEGINNING, |stored| stored.highest);
            let (topic, number) = partition;
            (highest < next).then(|| {
                format!("{topic}/{number} was read up to offset {next}, and the database says {highest}")
            })
        })
    }

    fn assign(&self, stored: Stored) {
        let position = |(partition, stored): (Partition, StoredPosition)| -> (Partition, Position) {
            (partition, stored.position)
        };
        self.assignment.assign(stored.into_iter().map(position).collect());
    }

    /// Starts all partitions again from the record before their positions.
    pub(super) async fn verify_all(&mut self) -> KafkaResult<()> {
        // The group waits for the answer to its decisions, so they come first.
        while let Ok(rebalance) = self.rebalances.try_recv() {
            self.rebalance(rebalance).await?;
        }
        self.start_reading(&self.assignment.positions().into_keys().collect())
    }

    /// Starts those of `partitions` again that are assigned and can be read, from the record before their positions.
    ///
    /// A seek fails on partitions that were assigned a moment ago. Unassigning and assigning them never fails, and drops the
    /// prefetched records.
    pub(super) fn start_reading(&self, partitions: &BTreeSet<Partition>) -> KafkaResult<()> {
        let from = self.assignment.start(partitions);
        if from.is_empty() {
            return Ok(());
        }
        let list = self.list(&from)?;
        self.consumer.0.incremental_unassign(&list)?;
        self.consumer.0.incremental_assign(&list)
    }

    /// Reads positions until the database answers; `None`: the process must stop.
    async fn read_positions(&self, partitions: &BTreeSet<Partition>) -> Option<Stored> {
        let partitions: Vec<Partition> = partitions.iter().cloned().collect();
        loop {
            match positions::select_or_insert(self.shared.outbox.pool(), &partitions).await {
                Ok(stored) => return Some(stored),
                Err(error) => tracing::warn!(%error, "positions cannot be read; trying again"),
            }
            self.stop.run_until_cancelled(tokio::time::sleep(POSITIONS_AGAIN)).await?;
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> BTreeSet<Partition> {
        let short = |topic: &str| self.shared.settings.without_prefix(topic).map(str::to_owned);
        let elements = list.elements();
        elements.iter().filter_map(|element| Some((short(element.topic())?, element.partition()))).collect()
    }

    /// Converts offsets to librdkafka's list. Fails only for offsets below -2, which the schema refuses.
    pub(super) fn list(&self, offsets: &BTreeMap<Partition, i64>) -> KafkaResult<TopicPartitionList> {
        let offsets = offsets.iter().map(|(partition, offset)| (partition, Offset::from_raw(*offset)));
        logs::offset_list(&self.shared.settings, offsets)
    }
}
