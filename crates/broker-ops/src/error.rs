//! The error of an operator's command.

use broker::maintenance::Record;
use broker::{Failure, KafkaError, Settings};

/// The reason why a rewind, a redrive or a reconciliation stopped.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// The topic does not exist, or has fewer partitions than the settings say.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {program} migrate")]
    NoTopic {
        /// The topic's full name.
        topic: String,
        /// The program whose `migrate` creates it.
        program: String,
    },
    /// The topic has no such partition.
    #[error("{topic} has no partition {partition}: its partitions are 0 to {}", count - 1)]
    NoPartition {
        /// The topic, without the prefix.
        topic: String,
        /// The requested partition.
        partition: i32,
        /// The number of partitions.
        count: i32,
    },
    /// No partition has this offset.
    #[error("no partition reaches offset {offset}: the longest log ends at {longest}")]
    Outside {
        /// The requested offset.
        offset: i64,
        /// The end of the longest log.
        longest: i64,
    },
    /// The handler failed for a reason that is not the record.
    #[error("stopped at {place}: {failure}")]
    Handler {
        /// The place of the record that was being applied.
        place: String,
        /// The failure.
        failure: Failure,
    },
}

impl OpsError {
    /// `topic` is its name without the prefix.
    pub(crate) fn no_topic(settings: &Settings, topic: &str) -> Self {
        Self::NoTopic { topic: settings.topic_name(topic), program: settings.program.clone() }
    }

    pub(crate) fn handler(record: &Record, failure: Failure) -> Self {
        let Record { topic, partition, offset, .. } = record;
        Self::Handler { place: format!("{topic}/{partition}@{offset}"), failure }
    }
}
