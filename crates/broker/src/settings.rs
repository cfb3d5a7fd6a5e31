//! What a service tells the broker about itself and the system that it is part of.

use std::time::Duration;

use envelope::Topic;

/// Names and limits; one value a process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service's name: its consumer group, the source of its events (`/name`) and its dead letters (`dlq.name`).
    pub service: String,
    /// Kafka's bootstrap servers, `host:port,host:port`.
    pub brokers: String,
    /// Stands before each topic and group, so that several systems share a cluster.
    pub prefix: String,
    /// Partitions of each topic.
    pub partitions: i32,
    /// How long topics with cleanup by deletion keep their records; `None`: for ever.
    pub retention: Option<Duration>,
    /// A name that this instance keeps across restarts; with it, a restart within the session time-out goes on at once
    /// (static membership, KIP-345).
    pub instance: Option<String>,
    /// How many rows the outbox may hold before the service should refuse new work.
    pub outbox_limit: i64,
    /// How an operator calls the service's program: stands before the command that a message advises, as in
    /// `order migrate`.
    pub program: String,
    /// How many dead letters in a row, without one success, count as a bad deployment instead of bad records.
    pub dead_letter_limit: u64,
}

impl Settings {
    /// What a topic is called on the cluster.
    pub fn topic_name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The service's consumer group.
    pub fn group(&self) -> String {
        format!("{}{}", self.prefix, self.service)
    }

    /// Where the service's dead letters go, without the prefix.
    pub fn dead_letter_topic(&self) -> String {
        format!("dlq.{}", self.service)
    }

    /// How an operator calls the program of another service of the system.
    pub(crate) fn program_of(&self, service: &str) -> String {
        format!("{}{service}", self.program.strip_suffix(&self.service).unwrap_or_default())
    }

    /// The topic's name without the prefix; `None` when it is of another system.
    pub(crate) fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.prefix.as_str())
    }

    pub(crate) fn names_of(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.topic_name(topic.name)).collect()
    }
}
