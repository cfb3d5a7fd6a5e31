//! The state of a consumer, for health checks.

/// The state of a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Whether Kafka answers and all topics are as the settings say.
    pub reached: bool,
    /// The number of partitions assigned to this member; `None` until the group has answered.
    pub partitions: Option<usize>,
    /// The reason why the current batch is not applied.
    pub stuck: Option<String>,
    /// Problems that an operator must repair, with the commands for it: partitions whose log was replaced or that make no
    /// progress, and topics that do not exist.
    pub stopped: Vec<String>,
}

impl ConsumerStatus {
    /// Returns whether all topics are being consumed.
    pub fn is_consuming(&self) -> bool {
        self.reached && self.partitions.is_some() && self.stuck.is_none() && self.stopped.is_empty()
    }
}
