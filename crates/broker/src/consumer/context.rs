//! What librdkafka calls back: rebalances and statistics. Nothing is done here; the word is passed to the session.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tokio::sync::mpsc;

/// What the group decided.
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// The log of one partition as last seen: first offset, and the one after the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogBounds {
    pub low: i64,
    pub high: i64,
}

pub(super) struct Context {
    rebalances: mpsc::UnboundedSender<Rebalance>,
    closing: AtomicBool,
    /// By full topic name and partition.
    logs: Mutex<BTreeMap<(String, i32), LogBounds>>,
    connected: AtomicBool,
}

impl Context {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Rebalance>) {
        let (rebalances, receiver) = mpsc::unbounded_channel();
        let (closing, connected) = (AtomicBool::new(false), AtomicBool::new(true));
        (Self { rebalances, closing, logs: Mutex::default(), connected }, receiver)
    }

    /// From now on nobody reads the rebalances: they are carried out on the spot.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn log_bounds(&self, topic: &str, partition: i32) -> Option<LogBounds> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.get(&(topic.to_owned(), partition)).copied()
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.connected.store(connected, Ordering::Relaxed);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, statistics) in statistics.topics {
            for (number, partition) in statistics.partitions {
                // Negative: not known yet.
                if partition.hi_offset >= 0 {
                    let bounds = LogBounds { low: partition.lo_offset.max(0), high: partition.hi_offset };
                    logs.insert((topic.clone(), number), bounds);
                }
            }
        }
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
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
