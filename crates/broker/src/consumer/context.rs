//! What librdkafka calls back. Nothing is done here; the word is passed to the session.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;

use crate::kafka;

/// What the group decided.
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

pub(super) struct Context {
    rebalances: mpsc::UnboundedSender<Rebalance>,
    closing: AtomicBool,
}

impl Context {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Rebalance>) {
        let (rebalances, receiver) = mpsc::unbounded_channel();
        (Self { rebalances, closing: AtomicBool::new(false) }, receiver)
    }

    /// From now on nobody reads the rebalances: they are carried out on the spot.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
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
