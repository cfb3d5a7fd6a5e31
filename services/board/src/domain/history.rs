//! The latest events, bounded by their number and by their memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::event::Event;

/// The most events. Rush hour, 20 orders per second, is 150 events per second: two minutes of it.
const EVENTS: usize = 20_000;
/// The most memory of all events, in bytes.
const BYTES: usize = 24 << 20;

/// The latest events in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl History {
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.size();
        self.events.push_back(event);
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.size();
        }
    }

    /// The event at this place, if it is still kept.
    pub(super) fn at(&self, topic: &str, partition: i32, offset: i64) -> Option<&Arc<Event>> {
        let is_there = |event: &&Arc<Event>| {
            event.offset == offset && event.partition == partition && *event.topic == *topic
        };
        self.events.iter().rev().find(is_there)
    }

    /// All events of a key through all topics, in the order of time.
    pub(super) fn about(&self, key: &str) -> Vec<Arc<Event>> {
        let mut found: Vec<_> = self.events.iter().filter(|event| event.is_about(key)).cloned().collect();
        found.sort_by_key(|event| event.at);
        found
    }

    /// The last `count` events of a topic, the latest first.
    pub(super) fn of_topic(&self, topic: &str, count: usize) -> Vec<Arc<Event>> {
        self.events.iter().rev().filter(|event| *event.topic == *topic).take(count).cloned().collect()
    }

    /// The last `count` events of each partition, the oldest first.
    pub(super) fn lanes(&self, count: usize) -> BTreeMap<(&str, i32), VecDeque<&Event>> {
        let mut lanes: BTreeMap<(&str, i32), VecDeque<&Event>> = BTreeMap::new();
        for event in self.events.iter().rev() {
            let lane = lanes.entry((&event.topic, event.partition)).or_default();
            if lane.len() < count {
                lane.push_front(event);
            }
        }
        lanes
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::sample;
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_latest_events_are_kept() {
        let mut history = History::default();
        let value = format!("{:?}", "x".repeat(10_000));
        for offset in 0..30_000 {
            let value = if offset % 2 == 0 { &value } else { "{}" };
            history.push(Arc::new(sample("orders", 0, offset, "k", "order.placed.v1", value)));
        }
        assert!(
            history.bytes <= BYTES && history.len() <= EVENTS && history.len() > 2000,
            "{}",
            history.len()
        );
        assert_eq!(
            history.lanes(2)[&("orders", 0)].iter().map(|event| event.offset).collect::<Vec<_>>(),
            [29_998, 29_999]
        );
        assert!(history.at("orders", 0, 29_999).is_some() && history.at("orders", 0, 1).is_none());
    }
}
