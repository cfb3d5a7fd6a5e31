//! The settings of one service: its names, its Kafka and its limits.

use std::time::Duration;

use connection::Connection;
use envelope::Topic;

/// The settings of one service; one value per process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service's name: its consumer group, the source of its events (`/name`) and its dead letters (`dlq.name`).
    pub service: String,
    /// Kafka's bootstrap servers, `host:port,host:port`.
    pub brokers: String,
    /// The user and the encryption of the connections to Kafka.
    pub connection: Connection,
    /// The prefix of each topic and group, so that several systems can share a cluster.
    pub prefix: String,
    /// The number of partitions of each topic.
    pub partitions: i32,
    /// The retention of topics with cleanup by deletion; `None`: for ever.
    pub retention: Option<Duration>,
    /// The number of replicas of each topic; `None`: 3, or as many as there are brokers.
    pub replication: Option<usize>,
    /// The number of replicas that must have a record before Kafka acknowledges it; `None`: 2 of 3 or more, else 1, so that a
    /// topic stays writable while one broker is down.
    pub min_insync_replicas: Option<usize>,
    /// A name that this instance keeps across restarts. With it, an instance that restarts within the session timeout
    /// keeps its partitions (static membership, KIP-345).
    pub instance: Option<String>,
    /// The number of outbox rows above which the service should refuse new work.
    pub outbox_limit: i64,
    /// The operator's command for the service's program: the start of the commands that messages advise, as in
    /// `order migrate`.
    pub program: String,
    /// The number of dead letters in a row, without one success, above which a topic counts as broken by a bad deployment
    /// ([`Policy::dead_letter_limit`](crate::Policy::dead_letter_limit) overrides it per subscription).
    pub dead_letter_limit: u64,
}

impl Settings {
    /// Returns the settings of `service` on the Kafka at `brokers`, with defaults for the others: no prefix, 12 partitions,
    /// 30 days of retention, up to 3 replicas, no instance name, a million rows in the outbox, and 1,000 dead letters in a row.
    pub fn new(service: &str, brokers: &str) -> Self {
        Self {
            service: service.to_owned(),
            brokers: brokers.to_owned(),
            connection: Connection::default(),
            prefix: String::new(),
            partitions: 12,
            retention: Some(Duration::from_hours(30 * 24)),
            replication: None,
            min_insync_replicas: None,
            instance: None,
            outbox_limit: 1_000_000,
            program: service.to_owned(),
            dead_letter_limit: 1000,
        }
    }

    /// Returns the full name of a topic on the cluster.
    pub fn topic_name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// Returns the service's consumer group.
    pub fn group(&self) -> String {
        format!("{}{}", self.prefix, self.service)
    }

    /// Returns the topic of the service's dead letters, without the prefix.
    pub fn dead_letter_topic(&self) -> String {
        format!("dlq.{}", self.service)
    }

    /// Returns the librdkafka properties that all clients of the service share.
    pub fn client_properties(&self) -> Vec<(String, String)> {
        let client_id = self.instance.as_deref().unwrap_or(&self.service);
        let own = [
            ("bootstrap.servers", self.brokers.as_str()),
            ("client.id", client_id),
            // A broker that comes back is found within a second instead of ten.
            ("reconnect.backoff.max.ms", "1000"),
            // A topic that was deleted and created again is noticed within seconds instead of five minutes.
            ("topic.metadata.refresh.interval.ms", "5000"),
            ("log.connection.close", "false"),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.into_iter().chain(self.connection.properties()).collect()
    }

    /// Returns the operator's command for the program of another service of the system.
    pub(crate) fn program_of(&self, service: &str) -> String {
        format!("{}{service}", self.program.strip_suffix(&self.service).unwrap_or_default())
    }

    /// Returns the topic's name without the prefix; `None`: the topic belongs to another system.
    pub(crate) fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.prefix.as_str())
    }

    pub(crate) fn names_of(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| self.topic_name(topic.name)).collect()
    }
}
