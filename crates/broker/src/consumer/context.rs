//! What librdkafka calls back. Nothing is done here; the word is passed to the session and the monitor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;

use crate::kafka;

/// How librdkafka marks a line about a connection that was lost or could not be made.
const CONNECTION_FAILED: &str = "FAIL";

/// What the group decided.
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// A topic's full name and a partition of it.
type FullPartition = (String, i32);

pub(super) struct Context {
    rebalances: mpsc::UnboundedSender<Rebalance>,
    closing: AtomicBool,
    /// A connection was lost or a partition has another leader: the logs may not be those that were read.
    doubt: AtomicBool,
    fetching: Mutex<BTreeMap<FullPartition, Fetching>>,
}

/// How far librdkafka has fetched a partition, and from which broker.
#[derive(Debug, Clone, Copy)]
struct Fetching {
    leader: i32,
    next: i64,
}

impl Context {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Rebalance>) {
        let (rebalances, receiver) = mpsc::unbounded_channel();
        let context = Self {
            rebalances,
            closing: AtomicBool::default(),
            doubt: AtomicBool::default(),
            fetching: Mutex::default(),
        };
        (context, receiver)
    }

    /// From now on nobody reads the rebalances: they are carried out on the spot.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Whether what is read next may come from another log than what was read before.
    ///
    /// librdkafka reports a lost connection through the queue that brings the records, so that this is known before
    /// the first record of the next connection is handed over.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.load(Ordering::SeqCst)
    }

    /// The same, and the doubt is over: the logs are about to be verified.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::SeqCst)
    }

    /// Whether all records before `end` have been fetched; what was not handed over of them is no record, but a
    /// transaction's marker or what compaction has left.
    pub(super) fn has_fetched(&self, topic: &str, partition: i32, end: i64) -> bool {
        self.fetching().get(&(topic.to_owned(), partition)).is_some_and(|fetching| fetching.next >= end)
    }

    fn fetching(&self) -> MutexGuard<'_, BTreeMap<FullPartition, Fetching>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == CONNECTION_FAILED {
            self.doubt.store(true, Ordering::SeqCst);
        }
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
        if matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure)) {
            self.doubt.store(true, Ordering::SeqCst);
        }
        kafka::log_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let topics = statistics.topics.into_values();
        let partitions = topics.flat_map(|topic| {
            let name = topic.topic;
            topic
                .partitions
                .into_values()
                .map(move |partition| ((name.clone(), partition.partition), partition))
        });
        let fetching: BTreeMap<_, _> =
            partitions.map(|(key, partition)| (key, Fetching::of(&partition))).collect();
        let before = std::mem::replace(&mut *self.fetching(), fetching.clone());
        let has_moved = |(partition, is): (&FullPartition, &Fetching)| {
            before.get(partition).is_some_and(|was| was.leader != is.leader)
        };
        if fetching.iter().any(has_moved) {
            self.doubt.store(true, Ordering::SeqCst);
        }
    }
}

impl Fetching {
    fn of(partition: &Partition) -> Self {
        // What waits to be handed over counts as not fetched.
        let all = partition.fetch_state == "active" && partition.fetchq_cnt == 0;
        Self { leader: partition.leader, next: if all { partition.next_offset } else { i64::MIN } }
    }
}

impl ConsumerContext for Context {
    /// Assigning needs the positions, which need the database, and this runs inside a poll: so the loop assigns.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assign = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            let done = if assign {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            if let Err(error) = done {
                tracing::debug!(%error, "a rebalance while closing");
            }
            return;
        }
        let news = if assign {
            Rebalance::Assign(partitions.clone())
        } else {
            Rebalance::Revoke(partitions.clone())
        };
        let _ = self.rebalances.send(news);
    }
}
