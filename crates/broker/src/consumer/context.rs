//! The callbacks of librdkafka. They pass their information on to the session and the monitor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use connection::Connection;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;

use crate::kafka;

/// The facility of librdkafka's log lines about connections that were lost or could not be made.
const CONNECTION_FAILED: &str = "FAIL";

pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// A topic's full name and a partition of it.
type FullPartition = (String, i32);

pub(super) struct Context {
    rebalances: mpsc::UnboundedSender<Rebalance>,
    closing: AtomicBool,
    /// Set when a connection was lost or a partition has another leader: the logs may not be those that were read before.
    must_verify: AtomicBool,
    fetching: Mutex<BTreeMap<FullPartition, Fetching>>,
    connection: Connection,
    /// The right that the service's user lacks.
    forbidden: Mutex<Option<String>>,
}

/// How far librdkafka has fetched a partition, and from which broker.
#[derive(Debug, Clone, Copy)]
struct Fetching {
    leader: i32,
    next: i64,
}

impl Context {
    pub(super) fn new(connection: Connection) -> (Self, mpsc::UnboundedReceiver<Rebalance>) {
        let (rebalances, receiver) = mpsc::unbounded_channel();
        let context = Self {
            rebalances,
            closing: AtomicBool::default(),
            must_verify: AtomicBool::default(),
            fetching: Mutex::default(),
            connection,
            forbidden: Mutex::default(),
        };
        (context, receiver)
    }

    /// Makes the callback carry out rebalances at once, because the session no longer reads them.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Returns whether the next records may come from another log than the records before.
    ///
    /// librdkafka reports a lost connection through the queue that delivers the records, before the first record of the next
    /// connection.
    pub(super) fn must_verify(&self) -> bool {
        self.must_verify.load(Ordering::SeqCst)
    }

    /// Returns the same and resets it, because the caller verifies the logs.
    pub(super) fn take_must_verify(&self) -> bool {
        self.must_verify.swap(false, Ordering::SeqCst)
    }

    /// Returns whether all offsets before `end` are fetched. Those that were not delivered hold no record, but a transaction's
    /// marker or a gap that compaction left.
    pub(super) fn has_fetched(&self, topic: &str, partition: i32, end: i64) -> bool {
        locked(&self.fetching)
            .get(&(topic.to_owned(), partition))
            .is_some_and(|fetching| fetching.next >= end)
    }

    /// Notes the right that the service's user lacks, and logs another one than before; `None`: a record arrived.
    pub(super) fn note_forbidden(&self, lacking: Option<String>) {
        let before = std::mem::replace(&mut *locked(&self.forbidden), lacking.clone());
        if let Some(text) = lacking.filter(|text| before.as_ref() != Some(text)) {
            tracing::error!("{text}");
        }
    }

    pub(super) fn lacking(&self) -> Option<String> {
        locked(&self.forbidden).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == CONNECTION_FAILED {
            self.must_verify.store(true, Ordering::SeqCst);
        }
        kafka::log(&self.connection, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
        if matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure)) {
            self.must_verify.store(true, Ordering::SeqCst);
        }
        kafka::log_error(&self.connection, &error, reason);
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
        let before = std::mem::replace(&mut *locked(&self.fetching), fetching.clone());
        let has_moved = |(partition, is): (&FullPartition, &Fetching)| {
            before.get(partition).is_some_and(|was| was.leader != is.leader)
        };
        if fetching.iter().any(has_moved) {
            self.must_verify.store(true, Ordering::SeqCst);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fetching {
    fn of(partition: &Partition) -> Self {
        // Records that wait to be delivered count as not fetched.
        let all = partition.fetch_state == "active" && partition.fetchq_cnt == 0;
        Self { leader: partition.leader, next: if all { partition.next_offset } else { i64::MIN } }
    }
}

impl ConsumerContext for Context {
    /// Passes the rebalance to the session. Assigning needs the positions from the database, and this callback runs inside a
    /// poll.
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
                tracing::debug!(%error, "a rebalance failed while closing");
            }
            return;
        }
        let rebalance = if assign {
            Rebalance::Assign(partitions.clone())
        } else {
            Rebalance::Revoke(partitions.clone())
        };
        let _ = self.rebalances.send(rebalance);
    }
}
