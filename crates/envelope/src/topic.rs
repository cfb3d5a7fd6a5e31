//! A topic as a value: its owner and key, Kafka's cleanup, and whether it carries personal data.

/// A topic of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The name without `TOPIC_PREFIX`.
    pub name: &'static str,
    /// The only service that publishes to the topic: the events' `ce_source` is `/owner`.
    pub owner: &'static str,
    /// The meaning of a record's key, in words (`order id`).
    pub key: &'static str,
    /// Kafka's cleanup of old records.
    pub cleanup: Cleanup,
    /// Whether records carry personal data: then dead letters omit the value, and erasures take effect within days.
    pub personal: bool,
}

impl Topic {
    /// Returns whether `source` is the owner's `ce_source`.
    #[must_use]
    pub fn is_published_by(&self, source: &str) -> bool {
        source.strip_prefix('/') == Some(self.owner)
    }
}

/// Returns the `ce_source` of a service's events.
#[must_use]
pub fn source(service: &str) -> String {
    format!("/{service}")
}

/// Kafka's `cleanup.policy` of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cleanup {
    /// Kafka deletes records after the retention (a history). A key's sequence has no gap.
    Delete,
    /// Kafka keeps the last record of each key for ever (a table). A key's sequence only rises.
    Compact,
}
