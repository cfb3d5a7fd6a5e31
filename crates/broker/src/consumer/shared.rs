//! The parts of a consumer that all its sessions use, among them its state for health checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use envelope::Topic;
use tokio::sync::watch;

use crate::handler::Subscription;
use crate::record::Partition;
use crate::settings::Settings;
use crate::tx::Outbox;

pub(super) struct Shared {
    pub settings: Settings,
    pub outbox: Outbox,
    /// By topic, without the prefix.
    pub subscriptions: BTreeMap<String, Subscription>,
    pub status: watch::Sender<ConsumerStatus>,
    /// The partitions whose lag is published.
    pub gauged: Mutex<BTreeSet<Partition>>,
}

impl Shared {
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.subscriptions.values().map(Subscription::topic).collect()
    }
}

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
