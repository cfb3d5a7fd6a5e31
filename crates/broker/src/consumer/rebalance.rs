//! Which partitions a session reads, and from where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Rebalance;
use super::session::Session;
use crate::generation;
use crate::positions::{self, Partition, Position, Positions};

const POSITIONS_AGAIN: Duration = Duration::from_millis(500);

impl Session<'_> {
    pub(super) async fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), KafkaError> {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions assigned");
                let Some(positions) = self.read_positions(&partitions).await else {
                    return Ok(());
                };
                self.assignment.assign(positions);
                self.consumer.0.incremental_assign(&self.list(&self.assignment.begin(&partitions)))?;
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions revoked");
                self.assignment.revoke(&partitions);
                self.batch.void(&partitions);
                self.consumer.0.incremental_unassign(&list)?;
            }
        }
        let partitions = self.assignment.count();
        self.status
            .send_if_modified(|status| std::mem::replace(&mut status.partitions, partitions) != partitions);
        Ok(())
    }

    /// Reads the held positions again; where the database says something else, reading goes on there. Verifies the logs
    /// of partitions where nothing happened for `idle`.
    pub(super) async fn refresh(&mut self, idle: Duration) -> Result<(), KafkaError> {
        if self.went_back().await {
            return Ok(());
        }
        let assigned = self.assignment.positions();
        let partitions: Vec<Partition> = assigned.keys().cloned().collect();
        match positions::read(self.owner.outbox.pool(), &partitions).await {
            Ok(positions) => {
                let moved =
                    |(partition, position): &(Partition, Position)| assigned.get(partition) != Some(position);
                let moved: BTreeSet<Partition> =
                    positions.into_iter().filter(moved).map(|(partition, _)| partition).collect();
                if !moved.is_empty() {
                    tracing::info!(partitions = moved.len(), "positions were moved; reading on from there");
                    self.read_on(moved).await?;
                }
            }
            // The next batch will tell it, if there is one.
            Err(error) => tracing::debug!(%error, "positions cannot be read"),
        }
        self.start_reading(&self.assignment.idle(idle))
    }

    /// Whether the database went back in time: a position is lower than the one that was committed, and no operator rewound
    /// it; or the database was repaired while this process ran. The session ends then.
    async fn went_back(&mut self) -> bool {
        if let Err(error) = self.look_back().await {
            tracing::debug!(%error, "the generation or the positions cannot be read");
        }
        self.older.is_some()
    }

    async fn look_back(&mut self) -> sqlx::Result<()> {
        let outbox = &self.owner.outbox;
        let assigned = self.assignment.positions();
        let partitions: Vec<Partition> = assigned.keys().cloned().collect();
        let highest = positions::highest(outbox.pool(), &partitions).await?;
        let fell = assigned.iter().find_map(|(partition, position)| {
            let (topic, number) = partition;
            let highest = highest.get(partition).copied().unwrap_or(positions::BEGINNING);
            (highest < position.next).then(|| {
                format!(
                    "{topic}/{number} was read up to offset {}, and the database says {highest}",
                    position.next
                )
            })
        });
        self.older = match fell {
            Some(fell) => Some(fell),
            None => generation::changed(outbox.pool(), outbox.lineage().await?.generation).await?,
        };
        Ok(())
    }

    /// Reads these partitions on from where the database says.
    pub(super) async fn read_on(&mut self, partitions: BTreeSet<Partition>) -> Result<(), KafkaError> {
        if self.went_back().await {
            return Ok(());
        }
        let Some(positions) = self.read_positions(&partitions).await else {
            return Ok(());
        };
        self.assignment.assign(positions);
        self.start_reading(&partitions)
    }

    /// Reads all partitions again from the record before their positions.
    pub(super) async fn verify_all(&mut self) -> Result<(), KafkaError> {
        // What the group has decided comes first: it waits for an answer to that.
        while let Ok(rebalance) = self.rebalances.try_recv() {
            self.rebalance(rebalance).await?;
        }
        self.start_reading(&self.assignment.positions().into_keys().collect())
    }

    /// Reads these partitions again, as far as they are held and not lost, from the record before their positions.
    ///
    /// A seek fails on partitions that were only just assigned; giving them up and taking them again never does, and
    /// drops what was fetched ahead.
    pub(super) fn start_reading(&self, partitions: &BTreeSet<Partition>) -> Result<(), KafkaError> {
        let from = self.assignment.begin(partitions);
        if from.is_empty() {
            return Ok(());
        }
        let list = self.list(&from);
        self.consumer.0.incremental_unassign(&list)?;
        self.consumer.0.incremental_assign(&list)
    }

    /// Reads positions until the database answers; `None`: the process is to stop.
    async fn read_positions(&self, partitions: &BTreeSet<Partition>) -> Option<Positions> {
        let partitions: Vec<Partition> = partitions.iter().cloned().collect();
        loop {
            match positions::read(self.owner.outbox.pool(), &partitions).await {
                Ok(positions) => return Some(positions),
                Err(error) => tracing::warn!(%error, "positions cannot be read; trying again"),
            }
            self.stop.run_until_cancelled(tokio::time::sleep(POSITIONS_AGAIN)).await?;
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> BTreeSet<Partition> {
        let ours = |topic: &str| self.owner.settings.without_prefix(topic).map(str::to_owned);
        let elements = list.elements();
        elements.iter().filter_map(|element| Some((ours(element.topic())?, element.partition()))).collect()
    }

    /// These offsets, as librdkafka takes them.
    pub(super) fn list(&self, offsets: &BTreeMap<Partition, i64>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            let topic = self.owner.settings.topic_name(topic);
            // Fails for offsets below -2 only, which the schema refuses.
            let _ = list.add_partition_offset(&topic, *partition, Offset::from_raw(*offset));
        }
        list
    }
}
