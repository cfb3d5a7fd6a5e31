//! The life of one librdkafka consumer: from joining the group until the process stops or the client is beyond repair.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::context::{Context, Rebalance};
use super::watermarks::{self, Lost};
use super::{Consumer, ConsumerStatus};
use crate::kafka;
use crate::positions::{self, Partition, Positions};
use crate::record::Record;
use crate::settle::{Settled, Settler};

/// How many records, and how many bytes, a batch has at most.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;
/// How often the positions are read again.
const REFRESH: Duration = Duration::from_secs(2);
const POSITIONS_AGAIN: Duration = Duration::from_millis(500);

/// Why a session ended.
pub(super) enum Ended {
    Stopped,
    Fatal(KafkaError),
}

pub(super) struct Session<'a> {
    owner: &'a Consumer,
    status: watch::Sender<ConsumerStatus>,
    stop: CancellationToken,
    consumer: Arc<StreamConsumer<Context>>,
    rebalances: mpsc::UnboundedReceiver<Rebalance>,
    settler: Settler,
    /// The group has answered.
    joined: bool,
    /// The partitions that this member holds, and where each is read on.
    held: Positions,
    lost: Vec<Lost>,
    batch: Vec<Record>,
    batch_bytes: usize,
}

impl<'a> Session<'a> {
    pub(super) fn begin(owner: &'a Consumer, stop: CancellationToken) -> Result<Self, KafkaError> {
        let (context, rebalances) = Context::new();
        let consumer: StreamConsumer<Context> =
            kafka::consumer(&owner.settings).create_with_context(context)?;
        let names: Vec<String> =
            owner.subscriptions.keys().map(|topic| owner.settings.topic_name(topic)).collect();
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let status = owner.status.clone();
        Ok(Self {
            settler: Settler::new(owner.settings.clone(), owner.outbox.clone(), status.clone(), stop.clone()),
            owner,
            status,
            stop,
            consumer: Arc::new(consumer),
            rebalances,
            joined: false,
            held: Positions::new(),
            lost: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
        })
    }

    pub(super) async fn run(mut self) -> Ended {
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            let consumer = Arc::clone(&self.consumer);
            let turn = tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ended::Stopped,
                Some(rebalance) = self.rebalances.recv() => self.rebalance(rebalance).await,
                _ = refresh.tick() => self.refresh().await,
                received = consumer.recv() => self.receive(received).await,
            };
            if let Err(error) = turn {
                break Ended::Fatal(error);
            }
        };
        self.close().await;
        ended
    }

    /// Takes a record and all that are there with it, and settles them.
    async fn receive(&mut self, first: Result<BorrowedMessage<'_>, KafkaError>) -> Result<(), KafkaError> {
        let consumer = Arc::clone(&self.consumer);
        let mut received = Some(first);
        while let Some(result) = received {
            match result {
                Ok(message) => self.take(&message),
                Err(error) => self.explain(error).await?,
            }
            // A rebalance may have come with the poll: what was revoked must not be settled.
            while let Ok(rebalance) = self.rebalances.try_recv() {
                self.rebalance(rebalance).await?;
            }
            let full = self.batch.len() >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES;
            received = if full { None } else { consumer.recv().now_or_never() };
        }
        self.settle().await
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(topic) = self.owner.settings.without_prefix(message.topic()) else {
            return;
        };
        let partition = (topic.to_owned(), message.partition());
        // Of a partition that was just revoked, or before a position that has moved on.
        if self.held.get(&partition).is_some_and(|next| message.offset() >= *next) {
            let record = Record::copy(message, topic);
            self.batch_bytes += record.bytes();
            self.batch.push(record);
        }
    }

    /// Brings the batch into the database, topic by topic.
    async fn settle(&mut self) -> Result<(), KafkaError> {
        let mut topics: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in self.batch.drain(..) {
            topics.entry(record.topic.clone()).or_default().push(record);
        }
        self.batch_bytes = 0;
        for (topic, records) in topics {
            let Some(subscription) = self.owner.subscriptions.get(&topic) else {
                continue;
            };
            let settled = self.settler.settle(subscription, &records, &mut self.held).await;
            self.store_offsets(&records);
            match settled {
                Settled::Done => {}
                Settled::Stale => {
                    tracing::info!(topic, "the position was moved by someone else; reading it again");
                    self.refresh().await?;
                }
                Settled::Stopped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Tells Kafka where we are, for lag displays alone.
    fn store_offsets(&self, records: &[Record]) {
        let mut offsets = TopicPartitionList::new();
        let partitions: std::collections::BTreeSet<(&str, i32)> =
            records.iter().map(|record| (record.topic.as_str(), record.partition)).collect();
        for (topic, partition) in partitions {
            if let Some(next) = self.held.get(&(topic.to_owned(), partition)).filter(|next| **next >= 0) {
                let topic = self.owner.settings.topic_name(topic);
                let _ = offsets.add_partition_offset(&topic, partition, Offset::Offset(*next));
            }
        }
        // `_STATE` when a partition is gone meanwhile: whoever has it now stores its own.
        let _ = self.consumer.store_offsets(&offsets);
    }

    async fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), KafkaError> {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions assigned");
                let Some(positions) = self.read_positions(&partitions).await else {
                    return Ok(());
                };
                self.consumer.incremental_assign(&self.list(&positions))?;
                self.held.extend(positions);
                self.joined = true;
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions revoked");
                self.held.retain(|partition, _| !partitions.contains(partition));
                self.lost.retain(|lost| !partitions.contains(&lost.partition));
                self.batch.retain(|record| !partitions.contains(&(record.topic.clone(), record.partition)));
                self.consumer.incremental_unassign(&list)?;
            }
        }
        self.tell();
        Ok(())
    }

    /// Reads the held positions again; where the database says something else, reading goes on there.
    async fn refresh(&mut self) -> Result<(), KafkaError> {
        self.gauge_lag();
        self.tell();
        let partitions: Vec<Partition> = self.held.keys().cloned().collect();
        let positions = match positions::read(self.owner.outbox.pool(), &partitions).await {
            Ok(positions) => positions,
            // The next batch will tell it, if there is one.
            Err(error) => {
                tracing::debug!(%error, "positions cannot be read");
                return Ok(());
            }
        };
        let moved: Positions = positions
            .into_iter()
            .filter(|(partition, next)| self.held.get(partition) != Some(next))
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        tracing::info!(partitions = moved.len(), "positions were moved; reading on from there");
        self.lost.retain(|lost| !moved.contains_key(&lost.partition));
        // A seek fails on partitions that were only just assigned; giving them up and taking them again never does,
        // and drops what was fetched ahead.
        let list = self.list(&moved);
        self.consumer.incremental_unassign(&list)?;
        self.consumer.incremental_assign(&list)?;
        self.held.extend(moved);
        self.tell();
        Ok(())
    }

    /// Tells trouble that passes from trouble that does not.
    async fn explain(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(error),
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                // It does not say which partition: find out.
                let (consumer, settings) = (Arc::clone(&self.consumer), self.owner.settings.clone());
                for lost in watermarks::find_lost(consumer, settings, self.held.clone()).await {
                    if !self.lost.contains(&lost) {
                        tracing::error!("{}", lost.explain(&self.owner.settings.service));
                        self.lost.push(lost);
                    }
                }
                self.tell();
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::PollExceeded) => {
                tracing::info!("waited so long that the group went on without us; joining again");
            }
            error => tracing::warn!(%error, "Kafka"),
        }
        Ok(())
    }

    /// Reads positions until the database answers; `None`: the process is to stop.
    async fn read_positions(&self, partitions: &[Partition]) -> Option<Positions> {
        loop {
            match positions::read(self.owner.outbox.pool(), partitions).await {
                Ok(positions) => return Some(positions),
                Err(error) => tracing::warn!(%error, "positions cannot be read; trying again"),
            }
            self.stop.run_until_cancelled(tokio::time::sleep(POSITIONS_AGAIN)).await?;
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let settings = &self.owner.settings;
        let ours = |topic: &str| settings.without_prefix(topic).map(str::to_owned);
        list.elements()
            .iter()
            .filter_map(|element| Some((ours(element.topic())?, element.partition())))
            .collect()
    }

    fn list(&self, positions: &Positions) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in positions {
            let topic = self.owner.settings.topic_name(topic);
            // Fails for offsets below -2 only, which the schema refuses.
            let _ = list.add_partition_offset(&topic, *partition, Offset::from_raw(*next));
        }
        list
    }

    fn tell(&self) {
        let stopped: Vec<String> =
            self.lost.iter().map(|lost| lost.explain(&self.owner.settings.service)).collect();
        let reached = self.consumer.context().is_connected();
        let partitions = self.joined.then_some(self.held.len());
        self.status.send_if_modified(|status| {
            let now = ConsumerStatus { reached, partitions, stopped, stuck: status.stuck.clone() };
            std::mem::replace(status, now.clone()) != now
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    fn gauge_lag(&self) {
        for ((topic, partition), next) in &self.held {
            let name = self.owner.settings.topic_name(topic);
            if let Some(log) = self.consumer.context().log_bounds(&name, *partition) {
                let lag = (log.high - (*next).max(log.low)).max(0);
                metrics::gauge!("consumer_lag", "topic" => topic.clone(), "partition" => partition.to_string())
                    .set(lag as f64);
            }
        }
    }

    /// Leaves the group. Dropping the client blocks until Kafka has answered, so it is done where blocking is fine.
    async fn close(self) {
        self.consumer.context().close();
        let consumer = self.consumer;
        let _ = tokio::task::spawn_blocking(move || drop(consumer)).await;
    }
}
