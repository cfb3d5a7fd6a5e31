//! The life of one librdkafka consumer: from joining the group until the process stops or the client is beyond repair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::alarms::Alarms;
use super::assignment::Assignment;
use super::batch::Batch;
use super::context::{Context, Rebalance};
use super::monitor::Monitor;
use super::{Consumer, ConsumerStatus};
use crate::apply::{Applied, Applier};
use crate::positions::Partition;
use crate::record::{Identity, Record};
use crate::{kafka, pause};

/// How often the positions are read again.
const REFRESH: Duration = Duration::from_secs(2);
/// How long nothing may happen on a partition before its log is verified again.
const IDLE: Duration = Duration::from_secs(30);
/// The most records that are taken from librdkafka between two looks at everything else.
const DRAIN: usize = 2000;
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
    StaleClient,
    /// The database is older than what this process has read, or was repaired meanwhile: so much is known of it.
    Older(String),
}

pub(super) struct Session<'a> {
    pub(super) owner: &'a Consumer,
    pub(super) status: watch::Sender<ConsumerStatus>,
    pub(super) stop: CancellationToken,
    pub(super) consumer: Member,
    pub(super) rebalances: mpsc::UnboundedReceiver<Rebalance>,
    applier: Applier,
    pub(super) assignment: Arc<Assignment>,
    pub(super) batch: Batch,
    /// How it is known that the database went back in time.
    pub(super) older: Option<String>,
}

impl<'a> Session<'a> {
    pub(super) fn begin(owner: &'a Consumer, stop: CancellationToken) -> Result<Self, KafkaError> {
        let (context, rebalances) = Context::new();
        let consumer: StreamConsumer<Context> =
            kafka::consumer(&owner.settings).create_with_context(context)?;
        let names = owner.settings.names_of(&owner.topics());
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let status = owner.status.clone();
        let assignment = Arc::<Assignment>::default();
        Ok(Self {
            applier: Applier::new(owner.settings.clone(), owner.outbox.clone(), status.clone(), stop.clone()),
            owner,
            status,
            stop,
            consumer: Member(Arc::new(consumer)),
            rebalances,
            assignment,
            batch: Batch::default(),
            older: None,
        })
    }

    pub(super) async fn run(mut self) -> Ended {
        let left = CancellationToken::new();
        let stale_client = CancellationToken::new();
        let monitor = tokio::spawn(self.monitor(stale_client.clone()).run(left.clone()));
        // Also when this future is dropped.
        let left = left.drop_guard();
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            let consumer = Arc::clone(&self.consumer.0);
            let turn = tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ended::Stopped,
                () = stale_client.cancelled() => break Ended::StaleClient,
                Some(rebalance) = self.rebalances.recv() => self.rebalance(rebalance).await,
                _ = refresh.tick() => self.refresh(IDLE).await,
                again = self.assignment.wanted() => self.start_reading(&again),
                received = consumer.recv() => self.receive(received).await,
            };
            // What the next connection brings may be of another log.
            let verified = match turn {
                Ok(()) if consumer.context().take_doubt() => self.verify_all().await,
                turn => turn,
            };
            if let Err(error) = verified {
                break Ended::Fatal(error);
            }
            if let Some(finding) = self.older.take() {
                break Ended::Older(finding);
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

    fn monitor(&self, stale_client: CancellationToken) -> Monitor {
        Monitor {
            settings: self.owner.settings.clone(),
            topics: self.owner.topics(),
            consumer: Arc::clone(&self.consumer.0),
            assignment: Arc::clone(&self.assignment),
            status: self.status.clone(),
            stale_client,
            alarms: Alarms::default(),
        }
    }

    /// Takes a record and all that are there with it, and settles them.
    async fn receive(&mut self, first: Result<BorrowedMessage<'_>, KafkaError>) -> Result<(), KafkaError> {
        let consumer = Arc::clone(&self.consumer.0);
        let (mut received, mut room) = (Some(first), DRAIN);
        while let Some(result) = received {
            match result {
                // After a connection was lost, nothing is taken before the logs are verified; this comes again.
                Ok(_) if consumer.context().is_in_doubt() => break,
                Ok(message) => self.take(&message),
                Err(error) => self.explain(error)?,
            }
            // A rebalance may have come with the poll: what was revoked must not be settled.
            while let Ok(rebalance) = self.rebalances.try_recv() {
                self.rebalance(rebalance).await?;
            }
            room = room.saturating_sub(1);
            let is_full = self.batch.is_full() || room == 0;
            received = if is_full { None } else { consumer.recv().now_or_never() };
        }
        self.settle().await
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(topic) = self.owner.settings.without_prefix(message.topic()) else {
            return;
        };
        let Some(subscription) = self.owner.subscriptions.get(topic) else {
            return;
        };
        let (partition, cleanup) = ((topic.to_owned(), message.partition()), subscription.topic().cleanup);
        let identity = || Identity::of(&Record::copy(message, topic), message.topic());
        if self.assignment.admits(&partition, message.offset(), cleanup, identity) {
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
            match self.applier.settle(subscription, &records, &self.assignment).await {
                Applied::Done => self.store_offsets(&records),
                Applied::Stale => {
                    tracing::info!(topic, "the position was moved by someone else; reading on from there");
                    // What is left of the batch is void, and librdkafka will not bring it again by itself: all its
                    // partitions are read on from where the database says, not only the one that was moved.
                    let left = records.iter().chain(topics.values().flatten());
                    return self.read_on(left.map(Record::origin).collect()).await;
                }
                Applied::Stopped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Tells Kafka where we are, for lag displays alone.
    fn store_offsets(&self, records: &[Record]) {
        let partitions: BTreeSet<Partition> = records.iter().map(Record::origin).collect();
        let positions =
            self.assignment.positions().into_iter().map(|(partition, position)| (partition, position.next));
        let is_read = |(partition, next): &(Partition, i64)| *next >= 0 && partitions.contains(partition);
        let offsets: BTreeMap<Partition, i64> = positions.filter(is_read).collect();
        // `_STATE` when a partition is gone meanwhile: whoever has it now stores its own.
        let _ = self.consumer.0.store_offsets(&self.list(&offsets));
    }

    /// Tells trouble that passes from trouble that does not.
    fn explain(&self, error: KafkaError) -> Result<(), KafkaError> {
        use RDKafkaErrorCode::{AutoOffsetReset, PollExceeded, UnknownTopicOrPartition};
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(error),
            KafkaError::MessageConsumption(AutoOffsetReset | UnknownTopicOrPartition) => {
                self.assignment.suspect()
            }
            KafkaError::MessageConsumption(PollExceeded) => {
                tracing::info!("waited so long that the group went on without us; joining again");
            }
            // The monitor tells when Kafka does not answer.
            error => tracing::debug!(%error, "Kafka"),
        }
        Ok(())
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
pub(super) struct Member(pub(super) Arc<StreamConsumer<Context>>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.context().close();
    }
}
