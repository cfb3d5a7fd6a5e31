//! Which partitions stand where the log is not: retention overtook them, or the log was cut or made anew.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};

use super::context::Context;
use crate::positions::{BEGINNING, Partition, Positions};
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A partition that cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub partition: Partition,
    pub position: i64,
    pub low: i64,
    pub high: i64,
}

impl Lost {
    /// What happened, and the command that repairs it.
    pub(super) fn explain(&self, service: &str) -> String {
        let Self { partition: (topic, number), position, low, high } = self;
        if position < low {
            let gone = low - position;
            format!(
                "{topic}/{number} stops: {gone} records before offset {low} were deleted unread (position {position}). \
                 Run: {service} rewind {topic} --to beginning"
            )
        } else {
            format!(
                "{topic}/{number} stops: the log ends at {high}, before our position {position}: it was cut or made \
                 anew. Run: {service} rewind {topic} --to beginning"
            )
        }
    }
}

/// Asks Kafka for the bounds of each held partition, and returns those whose position is outside.
pub(super) async fn find_lost(
    consumer: Arc<StreamConsumer<Context>>,
    settings: Settings,
    held: Positions,
) -> Vec<Lost> {
    let ask = move || {
        let outside = |(partition, position): (Partition, i64)| {
            let topic = settings.topic_name(&partition.0);
            let (low, high) = consumer.fetch_watermarks(&topic, partition.1, TIMEOUT).ok()?;
            let lost = position != BEGINNING && (position < low || position > high);
            lost.then_some(Lost { partition, position, low, high })
        };
        held.into_iter().filter_map(outside).collect()
    };
    tokio::task::spawn_blocking(ask).await.unwrap_or_default()
}
