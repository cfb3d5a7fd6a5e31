//! The life of one librdkafka consumer: from joining the group until the process stops or the client is beyond repair.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::context::{Context, Rebalance};
use super::held::Held;
use super::monitor::Monitor;
use super::{Consumer, ConsumerStatus};
use crate::positions::{self, Partition, Positions};
use crate::record::Record;
use crate::settle::{Settled, Settler};
use crate::{kafka, pause};

/// How often the positions are read again.
const REFRESH: Duration = Duration::from_secs(2);
const POSITIONS_AGAIN: Duration = Duration::from_millis(500);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(3);

/// Why a session ended.
pub(super) enum Ended {
    Stopped,
    /// The client is beyond repair.
    Fatal(KafkaError),
    /// The same, and Kafka did not answer for a while before.
    FatalAfterOutage(KafkaError),
    /// The client does not find a Kafka that is there.
    Stranded,
}

pub(super) struct Session<'a> {
    owner: &'a Consumer,
    status: watch::Sender<ConsumerStatus>,
    stop: CancellationToken,
    consumer: Member,
    rebalances: mpsc::UnboundedReceiver<Rebalance>,
    settler: Settler,
    held: Arc<Held>,
    batch: Batch,
}

impl<'a> Session<'a> {
    pub(super) fn begin(owner: &'a Consumer, stop: CancellationToken) -> Result<Self, KafkaError> {
        let (context, rebalances) = Context::new();
        let consumer: StreamConsumer<Context> =
            kafka::consumer(&owner.settings).create_with_context(context)?;
        let names = owner.settings.names_of(&owner.topics());
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let status = owner.status.clone();
        let held = Arc::<Held>::default();
        Ok(Self {
            settler: Settler::new(owner.settings.clone(), owner.outbox.clone(), status.clone(), stop.clone()),
            owner,
            status,
            stop,
            consumer: Member(Arc::new(consumer)),
            rebalances,
            held,
            batch: Batch::default(),
        })
    }

    pub(super) async fn run(mut self) -> Ended {
        let left = CancellationToken::new();
        let stranded = CancellationToken::new();
        let monitor = tokio::spawn(self.monitor(stranded.clone()).run(left.clone()));
        // Also when this future is dropped.
        let left = left.drop_guard();
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            let consumer = Arc::clone(&self.consumer.0);
            let turn = tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ended::Stopped,
                () = stranded.cancelled() => break Ended::Stranded,
                Some(rebalance) = self.rebalances.recv() => self.rebalance(rebalance).await,
                _ = refresh.tick() => self.refresh().await,
                received = consumer.recv() => self.receive(received).await,
            };
            if let Err(error) = turn {
                break Ended::Fatal(error);
            }
        };
        drop(left);
        let outage = monitor.await.unwrap_or_default();
        self.close().await;
        match ended {
            Ended::Fatal(error) if outage => Ended::FatalAfterOutage(error),
            ended => ended,
        }
    }

    fn monitor(&self, stranded: CancellationToken) -> Monitor {
        Monitor {
            settings: self.owner.settings.clone(),
            topics: self.owner.topics(),
            consumer: Arc::clone(&self.consumer.0),
            held: Arc::clone(&self.held),
            status: self.status.clone(),
            stranded,
        }
    }

    /// Takes a record and all that are there with it, and settles them.
    async fn receive(&mut self, first: Result<BorrowedMessage<'_>, KafkaError>) -> Result<(), KafkaError> {
        let consumer = Arc::clone(&self.consumer.0);
        let mut received = Some(first);
        while let Some(result) = received {
            match result {
                Ok(message) => self.take(&message),
                Err(error) => self.explain(error)?,
            }
            // A rebalance may have come with the poll: what was revoked must not be settled.
            while let Ok(rebalance) = self.rebalances.try_recv() {
                self.rebalance(rebalance).await?;
            }
            received = if self.batch.is_full() { None } else { consumer.recv().now_or_never() };
        }
        self.settle().await
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(topic) = self.owner.settings.without_prefix(message.topic()) else {
            return;
        };
        let position = self.held.position(&(topic.to_owned(), message.partition()));
        // Else of a partition that was just revoked, or before a position that has moved on.
        if position.is_some_and(|next| message.offset() >= next) {
            self.batch.push(Record::copy(message, topic));
        }
    }

    /// Brings the batch into the database, topic by topic.
    async fn settle(&mut self) -> Result<(), KafkaError> {
        let mut topics = self.batch.take();
        pause::at("consumer.received").await;
        while let Some((topic, records)) = topics.pop_first() {
            let Some(subscription) = self.owner.subscriptions.get(&topic) else {
                continue;
            };
            match self.settler.settle(subscription, &records, &self.held).await {
                Settled::Done => self.store_offsets(&records),
                Settled::Stale => {
                    tracing::info!(topic, "the position was moved by someone else; reading on from there");
                    // What is left of the batch is void, and librdkafka will not bring it again by itself: all its
                    // partitions are read on from where the database says, not only the one that was moved.
                    let left = records.iter().chain(topics.values().flatten());
                    return self.read_on(left.map(Record::origin).collect()).await;
                }
                Settled::Stopped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Tells Kafka where we are, for lag displays alone.
    fn store_offsets(&self, records: &[Record]) {
        let partitions: BTreeSet<Partition> = records.iter().map(Record::origin).collect();
        let mut positions = self.held.positions();
        positions.retain(|partition, next| *next >= 0 && partitions.contains(partition));
        // `_STATE` when a partition is gone meanwhile: whoever has it now stores its own.
        let _ = self.consumer.0.store_offsets(&self.list(&positions));
    }

    async fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), KafkaError> {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions assigned");
                let Some(positions) = self.read_positions(&partitions).await else {
                    return Ok(());
                };
                self.consumer.0.incremental_assign(&self.list(&positions))?;
                self.held.assign(positions);
            }
            Rebalance::Revoke(list) => {
                let partitions = self.partitions(&list);
                tracing::debug!(count = partitions.len(), "partitions revoked");
                self.held.revoke(&partitions);
                self.batch.void(&partitions);
                self.consumer.0.incremental_unassign(&list)?;
            }
        }
        let partitions = self.held.count();
        self.status
            .send_if_modified(|status| std::mem::replace(&mut status.partitions, partitions) != partitions);
        Ok(())
    }

    /// Reads the held positions again; where the database says something else, reading goes on there.
    async fn refresh(&mut self) -> Result<(), KafkaError> {
        let held = self.held.positions();
        let partitions: Vec<Partition> = held.keys().cloned().collect();
        match positions::read(self.owner.outbox.pool(), &partitions).await {
            Ok(positions) => {
                let moved = |(partition, next): &(Partition, i64)| held.get(partition) != Some(next);
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
        Ok(())
    }

    /// Reads these partitions on from where the database says.
    ///
    /// A seek fails on partitions that were only just assigned; giving them up and taking them again never does, and
    /// drops what was fetched ahead.
    async fn read_on(&mut self, partitions: BTreeSet<Partition>) -> Result<(), KafkaError> {
        let Some(positions) = self.read_positions(&partitions).await else {
            return Ok(());
        };
        let list = self.list(&positions);
        self.consumer.0.incremental_unassign(&list)?;
        self.consumer.0.incremental_assign(&list)?;
        self.held.moved(positions);
        Ok(())
    }

    /// Tells trouble that passes from trouble that does not.
    fn explain(&self, error: KafkaError) -> Result<(), KafkaError> {
        use RDKafkaErrorCode::{AutoOffsetReset, PollExceeded, UnknownTopicOrPartition};
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(error),
            KafkaError::MessageConsumption(AutoOffsetReset | UnknownTopicOrPartition) => self.held.suspect(),
            KafkaError::MessageConsumption(PollExceeded) => {
                tracing::info!("waited so long that the group went on without us; joining again");
            }
            // The monitor tells when Kafka does not answer.
            error => tracing::debug!(%error, "Kafka"),
        }
        Ok(())
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

    fn list(&self, positions: &Positions) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in positions {
            let topic = self.owner.settings.topic_name(topic);
            // Fails for offsets below -2 only, which the schema refuses.
            let _ = list.add_partition_offset(&topic, *partition, Offset::from_raw(*next));
        }
        list
    }

    /// Leaves the group. That blocks until Kafka has answered, which it may never do.
    async fn close(self) {
        let member = self.consumer;
        if tokio::time::timeout(CLOSE, kafka::blocking(move || drop(member))).await.is_err() {
            tracing::warn!("Kafka did not let us leave the group in time; it will notice by itself");
        }
    }
}

/// Our place in the group. However it is dropped, the last rebalance is carried out on the spot: librdkafka waits for it.
struct Member(Arc<StreamConsumer<Context>>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.context().close();
    }
}
