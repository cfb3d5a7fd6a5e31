//! The life of one librdkafka consumer: from joining the group until the process stops or the client must be replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alarms::Alarms;
use super::apply::{Applier, BatchResult};
use super::batch::Batch;
use super::context::{Context, Rebalance};
use super::monitor::Monitor;
use super::shared::Shared;
use crate::assignment::Assignment;
use crate::pace::Pace;
use crate::record::{Identity, Partition, Record};
use crate::{kafka, pause, reader};

/// The interval between two looks at the stored positions.
const REFRESH: Duration = Duration::from_secs(2);
/// A partition that is idle for this long is verified again.
const IDLE: Duration = Duration::from_secs(30);
/// The largest number of records taken from librdkafka before the loop looks at everything else.
const DRAIN: usize = 2000;
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(3);

pub(super) enum Ended {
    Stopped,
    /// The client failed for good.
    Fatal(KafkaError),
    /// The client failed for good after Kafka did not answer, or this process stood still, for a while.
    FatalAfterOutage(KafkaError),
    /// The client cannot find a Kafka that other clients reach.
    StaleClient,
    /// The database is older than what this process has read, or was repaired meanwhile; with the finding that shows it.
    OlderDatabase(String),
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    pub(super) consumer: Member,
    pub(super) rebalances: mpsc::UnboundedReceiver<Rebalance>,
    applier: Applier,
    pub(super) assignment: Arc<Assignment>,
    pub(super) batch: Batch,
    pace: Pace,
    /// The finding that shows that the database went back in time.
    pub(super) older_database: Option<String>,
}

impl Session {
    pub(super) fn begin(shared: Arc<Shared>, stop: CancellationToken) -> KafkaResult<Self> {
        let (context, rebalances) = Context::new(shared.settings.connection.clone());
        let settings = &shared.settings;
        let consumer: StreamConsumer<Context> = kafka::consumer(settings).create_with_context(context)?;
        let names = settings.names_of(&shared.topics());
        consumer.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self {
            applier: Applier::new(Arc::clone(&shared), stop.clone()),
            shared,
            stop,
            consumer: Member(Arc::new(consumer)),
            rebalances,
            assignment: Arc::default(),
            batch: Batch::default(),
            pace: Pace::default(),
            older_database: None,
        })
    }

    pub(super) async fn run(mut self) -> Ended {
        let left = CancellationToken::new();
        let stale_client = CancellationToken::new();
        let monitor = Monitor {
            shared: Arc::clone(&self.shared),
            consumer: Arc::clone(&self.consumer.0),
            assignment: Arc::clone(&self.assignment),
            stale_client: stale_client.clone(),
            alarms: Alarms::default(),
        };
        let monitor = tokio::spawn(monitor.run(left.clone()));
        // Stops the monitor also when this future is dropped.
        let left = left.drop_guard();
        let mut refresh = tokio::time::interval(REFRESH);
        let ended = loop {
            let consumer = Arc::clone(&self.consumer.0);
            let done = tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ended::Stopped,
                () = stale_client.cancelled() => break Ended::StaleClient,
                Some(rebalance) = self.rebalances.recv() => self.rebalance(rebalance).await,
                _ = refresh.tick() => {
                    let done = self.refresh(IDLE).await;
                    // Without the database this takes longer than the interval; records must be received in between.
                    refresh.reset();
                    done
                }
                partitions = self.assignment.requested_restarts() => self.start_reading(&partitions),
                received = consumer.recv() => self.receive(received).await,
            };
            // The records of the next connection may be of another log.
            let verified = match done {
                Ok(()) if consumer.context().take_must_verify() => self.verify_all().await,
                done => done,
            };
            if let Err(error) = verified {
                break Ended::Fatal(error);
            }
            if let Some(finding) = self.older_database.take() {
                break Ended::OlderDatabase(finding);
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

    /// Takes a record and all others that are ready, and applies them.
    async fn receive(&mut self, first: KafkaResult<BorrowedMessage<'_>>) -> KafkaResult<()> {
        let consumer = Arc::clone(&self.consumer.0);
        self.pace.wait().await;
        let started = Instant::now();
        if first.is_ok() {
            consumer.context().note_forbidden(None);
        }
        let (mut received, mut room) = (Some(first), DRAIN);
        while let Some(result) = received {
            match result {
                // After a lost connection no record is taken before the logs are verified; this one is read again then.
                Ok(_) if consumer.context().must_verify() => break,
                Ok(message) => self.take(&message),
                Err(error) => self.handle_error(error)?,
            }
            // The poll may have brought a rebalance: records of revoked partitions must not be applied.
            while let Ok(rebalance) = self.rebalances.try_recv() {
                self.rebalance(rebalance).await?;
            }
            room = room.saturating_sub(1);
            received = if self.batch.is_full() || room == 0 { None } else { consumer.recv().now_or_never() };
        }
        let is_full = self.batch.is_full();
        let applied = self.apply().await;
        self.pace.end(started, is_full);
        applied
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(topic) = self.shared.settings.without_prefix(message.topic()) else {
            return;
        };
        let Some(subscription) = self.shared.subscriptions.get(topic) else {
            return;
        };
        let (partition, cleanup) = ((topic.to_owned(), message.partition()), subscription.topic().cleanup);
        let identity = || Identity::of(&Record::copy(message, topic), message.topic());
        if self.assignment.admits(&partition, message.offset(), cleanup, identity) {
            self.batch.push(Record::copy(message, topic));
        }
    }

    /// Applies the batch to the database, topic by topic.
    async fn apply(&mut self) -> KafkaResult<()> {
        let mut topics = self.batch.take();
        pause::at("consumer.received").await;
        while let Some((topic, records)) = topics.pop_first() {
            let Some(subscription) = self.shared.subscriptions.get(&topic) else {
                continue;
            };
            match self.applier.apply(subscription, &records, &self.assignment).await {
                BatchResult::Committed => {
                    self.store_offsets(&records.iter().map(Record::origin).collect());
                }
                BatchResult::Stale => {
                    tracing::info!(
                        topic,
                        "another transaction moved the position (a rewind or another instance); reading from the new one"
                    );
                    // The rest of the batch is void, and librdkafka does not deliver it again by itself. So all partitions
                    // of the batch restart from the database, not only the one whose position was moved.
                    let rest = records.iter().chain(topics.values().flatten());
                    return self.restart_from_database(rest.map(Record::origin).collect()).await;
                }
                BatchResult::Stopped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Stores the positions of these partitions as Kafka's committed offsets, for lag displays only.
    pub(super) fn store_offsets(&self, partitions: &BTreeSet<Partition>) {
        let positions =
            self.assignment.positions().into_iter().map(|(partition, position)| (partition, position.next));
        let is_read = |(partition, next): &(Partition, i64)| *next >= 0 && partitions.contains(partition);
        let offsets: BTreeMap<Partition, i64> = positions.filter(is_read).collect();
        // Fails with `_STATE` when a partition was revoked meanwhile: its new member stores its own offset.
        let _ = self.list(&offsets).and_then(|list| self.consumer.0.store_offsets(&list));
    }

    /// Returns errors after which the client must be replaced, and deals with all others.
    fn handle_error(&self, error: KafkaError) -> KafkaResult<()> {
        use RDKafkaErrorCode::{
            AutoOffsetReset, GroupAuthorizationFailed, PollExceeded, TopicAuthorizationFailed,
            UnknownTopicOrPartition,
        };
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(error),
            KafkaError::MessageConsumption(AutoOffsetReset | UnknownTopicOrPartition) => {
                self.assignment.suspect();
            }
            KafkaError::MessageConsumption(PollExceeded) => {
                tracing::info!("max.poll.interval.ms exceeded: the group removed this member; joining again");
            }
            error @ KafkaError::MessageConsumption(GroupAuthorizationFailed | TopicAuthorizationFailed) => {
                let text = kafka::KafkaError::from(error).explain(&self.shared.settings);
                self.consumer.0.context().note_forbidden(Some(text));
            }
            // The monitor reports a Kafka that does not answer.
            error => tracing::debug!(%error, "Kafka"),
        }
        Ok(())
    }

    /// Leaves the group. That blocks until Kafka answers, which may never happen.
    async fn close(self) {
        let member = self.consumer;
        if tokio::time::timeout(CLOSE, reader::blocking(move || drop(member))).await.is_err() {
            tracing::warn!(
                "Kafka did not confirm in time that this member leaves the group; the session times out"
            );
        }
    }
}

/// The membership in the group. However it is dropped, the last rebalance is carried out at once, because librdkafka waits
/// for it.
pub(super) struct Member(pub(super) Arc<StreamConsumer<Context>>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.context().close();
    }
}
