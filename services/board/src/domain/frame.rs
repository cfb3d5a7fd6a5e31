//! The message that browsers get several times per second: the new events, coalesced, and the rates.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde::Serialize;

use super::event::Event;

/// The most chips of one lane in a frame; more events than that become one chip with their number.
const PER_LANE: usize = 2;
/// The most chips in a frame.
const CHIPS: usize = 120;

/// One or several new events of a partition, as the board shows them in its lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Chip {
    pub topic: String,
    pub partition: i32,
    /// The offset of the (latest) event.
    pub offset: i64,
    /// The key by which the events of one thing have one colour.
    pub subject: String,
    /// The colour of that key.
    pub hue: u64,
    pub label: String,
    /// The number of events that the chip stands for.
    pub count: usize,
}

/// The news since the previous frame.
#[derive(Debug, Serialize)]
pub(crate) struct Frame {
    /// The board's time, in milliseconds since 1970.
    pub now: i64,
    pub chips: Vec<Chip>,
    /// The number of new events.
    pub events: usize,
    /// The number of those that no chip stands for.
    pub omitted: usize,
    /// The events of each topic in the last second.
    pub rates: BTreeMap<Box<str>, u32>,
    /// The members and the lag of each service.
    pub groups: BTreeMap<String, Summary>,
    /// Whether Kafka answers.
    pub kafka: bool,
    /// The number of events that the board keeps.
    pub kept: usize,
}

/// A group in a frame.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub members: usize,
    pub lag: i64,
    /// The partitions that each member holds.
    pub partitions: Vec<usize>,
}

/// The number of new events of a lane, and the latest of them.
type Lane = (usize, Vec<Arc<Event>>);

/// The new events of each lane since the last frame; of each it keeps the latest few.
#[derive(Debug, Default)]
pub(super) struct News {
    lanes: BTreeMap<(Box<str>, i32), Lane>,
    events: usize,
}

impl News {
    pub(super) fn add(&mut self, event: &Arc<Event>) {
        let (count, latest) = self.lanes.entry((event.topic.clone(), event.partition)).or_default();
        *count += 1;
        self.events += 1;
        if latest.len() == PER_LANE {
            latest.remove(0);
        }
        latest.push(Arc::clone(event));
    }

    /// Returns the chips, the number of events, and the number of those that no chip stands for.
    pub(super) fn take(&mut self) -> (Vec<Chip>, usize, usize) {
        let lanes = std::mem::take(&mut self.lanes);
        let mut chips: Vec<Chip> = Vec::new();
        for (count, latest) in lanes.into_values() {
            if count <= PER_LANE {
                chips.extend(latest.iter().map(|event| chip(event, 1)));
            } else {
                chips.extend(latest.last().map(|event| chip(event, count)));
            }
        }
        let omitted = chips.iter().skip(CHIPS).map(|chip| chip.count).sum();
        chips.truncate(CHIPS);
        (chips, std::mem::take(&mut self.events), omitted)
    }
}

/// Returns the chip of `event`, which stands for `count` events.
pub(super) fn chip(event: &Event, count: usize) -> Chip {
    let (subject, label) = event.show_head();
    Chip {
        topic: event.topic.to_string(),
        partition: event.partition,
        offset: event.offset,
        hue: hue(&subject),
        subject,
        label,
        count,
    }
}

/// Returns one of twelve colours, the same for the same key.
fn hue(subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish() % 12
}

#[cfg(test)]
mod tests {
    use super::super::event::sample;
    use super::*;

    #[test]
    fn a_burst_becomes_few_chips_that_stand_for_all_its_events() {
        let mut news = News::default();
        for offset in 0..24_000 {
            let partition = i32::try_from(offset % 12).unwrap();
            news.add(&Arc::new(sample("orders", partition, offset, "k", "order.placed.v1", "{}")));
        }
        let (chips, events, omitted) = news.take();
        assert_eq!((chips.len(), events, omitted), (12, 24_000, 0));
        assert_eq!(chips.iter().map(|chip| chip.count).sum::<usize>(), 24_000);
        news.add(&Arc::new(sample("orders", 1, 1, "k", "order.placed.v1", "{}")));
        let (chips, events, _) = news.take();
        assert_eq!((chips[0].label.as_str(), chips[0].count, events), ("placed", 1, 1));
    }
}
