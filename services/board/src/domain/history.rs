//! The latest events, bounded by their number and by their memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::event::Event;

/// The most events. Rush hour, 20 orders per second, is 150 events per second: two minutes of it.
const EVENTS: usize = 20_000;
/// The most memory of all events, in bytes.
const BYTES: usize = 24 << 20;

/// The latest events of each topic in the order of their arrival. Where there are too many, the topic with the most loses its
/// oldest ones: a busy topic does not displace the events of the others.
#[derive(Debug, Default)]
pub(crate) struct History {
    topics: BTreeMap<Box<str>, Topic>,
    events: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Topic {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl History {
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.events += 1;
        self.bytes += event.size();
        let topic = self.topics.entry(event.topic.clone()).or_default();
        topic.bytes += event.size();
        topic.events.push_back(event);
        while self.events > EVENTS || self.bytes > BYTES {
            let too_many = self.events > EVENTS;
            let size = |topic: &&mut Topic| if too_many { topic.events.len() } else { topic.bytes };
            let Some(largest) = self.topics.values_mut().max_by_key(size) else { break };
            let Some(oldest) = largest.events.pop_front() else { break };
            largest.bytes -= oldest.size();
            self.bytes -= oldest.size();
            self.events -= 1;
        }
    }

    /// The event at this place, if it is still kept.
    pub(crate) fn at(&self, topic: &str, partition: i32, offset: i64) -> Option<&Arc<Event>> {
        let is_there = |event: &&Arc<Event>| event.offset == offset && event.partition == partition;
        self.topics.get(topic)?.events.iter().rev().find(is_there)
    }

    /// All events of a key through all topics, in the order of time.
    pub(crate) fn about(&self, key: &str) -> Vec<Arc<Event>> {
        let all = self.topics.values().flat_map(|topic| &topic.events);
        let mut found: Vec<_> = all.filter(|event| event.is_about(key)).cloned().collect();
        found.sort_by_key(|event| event.at);
        found
    }

    /// The last `count` events of a topic, the latest first.
    pub(crate) fn of_topic(&self, topic: &str, count: usize) -> Vec<Arc<Event>> {
        let events = self.topics.get(topic).into_iter().flat_map(|topic| topic.events.iter().rev());
        events.take(count).cloned().collect()
    }

    /// The last `count` events of each partition, the oldest first.
    pub(super) fn lanes(&self, count: usize) -> BTreeMap<(&str, i32), VecDeque<&Event>> {
        let mut lanes: BTreeMap<(&str, i32), VecDeque<&Event>> = BTreeMap::new();
        for event in self.topics.values().flat_map(|topic| topic.events.iter().rev()) {
            let lane = lanes.entry((&event.topic, event.partition)).or_default();
            if lane.len() < count {
                lane.push_front(event);
            }
        }
        lanes
    }

    pub(super) fn len(&self) -> usize {
        self.events
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

    #[test]
    fn a_busy_topic_does_not_displace_the_events_of_others() {
        let mut history = History::default();
        history.push(Arc::new(sample("orders", 0, 0, "k", "order.placed.v1", "{}")));
        for offset in 0..30_000 {
            history.push(Arc::new(sample("notifications", 0, offset, "n", "notification.sent.v1", "{}")));
        }
        assert_eq!(history.len(), EVENTS);
        assert_eq!(history.about("k").len(), 1);
    }
}
