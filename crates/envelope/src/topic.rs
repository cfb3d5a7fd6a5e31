//! A topic as a value: what is on it, how Kafka keeps it, and whether it carries personal data.

/// A topic of the system, named without the system's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The name; on the cluster it stands behind `TOPIC_PREFIX`.
    pub name: &'static str,
    /// The service that publishes on it, the only one: the events' `ce_source` is `/owner`.
    pub owner: &'static str,
    /// What a record's key is, in words (`order id`).
    pub key: &'static str,
    /// How Kafka gets rid of old records.
    pub cleanup: Cleanup,
    /// Records carry personal data: their values never reach a dead letter, and erasures must take effect in days.
    pub personal: bool,
}

impl Topic {
    /// Whether an event of this `ce_source` was published by the owner.
    #[must_use]
    pub fn is_published_by(&self, source: &str) -> bool {
        source.strip_prefix('/') == Some(self.owner)
    }
}

/// The `ce_source` of what a service publishes.
#[must_use]
pub fn source(service: &str) -> String {
    format!("/{service}")
}

/// Kafka's `cleanup.policy` of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cleanup {
    /// A history: records are deleted when the retention has passed. A key's sequence has no gap.
    Delete,
    /// A table: the last record of each key is kept for ever. A key's sequence only rises.
    Compact,
}
