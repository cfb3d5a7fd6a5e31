//! The state of the board: the latest events, the ends of the logs, the rates, the catalogue and the groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::maintenance::{Logs, Record};
use serde::Serialize;

use super::catalogue::{Catalogue, Offer};
use super::event::Event;
use super::frame::{self, Chip, Frame, News, Summary};
use super::groups::{Group, Groups};
use super::history::History;
use super::rates::Rates;

/// The events that a lane shows when a page is opened.
const IN_LANE: usize = 6;

/// Everything that the board shows.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub history: History,
    logs: Logs,
    pub rates: Rates,
    news: News,
    pub catalogue: Catalogue,
    pub groups: Groups,
    /// Whether Kafka answers.
    pub kafka: bool,
}

/// A topic as the board shows it.
#[derive(Debug, Serialize)]
pub(crate) struct TopicInfo {
    pub name: String,
    /// The records in the topic's logs, by their offsets.
    pub records: i64,
    pub lanes: Vec<LaneInfo>,
}

/// A partition as the board shows it.
#[derive(Debug, Serialize)]
pub(crate) struct LaneInfo {
    pub partition: i32,
    pub chips: Vec<Chip>,
}

impl Model {
    /// Takes the bounds of the logs, before their records.
    pub(crate) fn open(&mut self, logs: &Logs) {
        self.logs.extend(logs.iter().map(|(partition, log)| (partition.clone(), log.clone())));
    }

    /// Adds a record. `is_new`: it was appended while the board ran. Returns a product that changed.
    pub(crate) fn add(&mut self, record: &Record, is_new: bool) -> Option<Offer> {
        let event = Arc::new(Event::of(record));
        let log =
            self.logs.entry((record.topic.clone(), record.partition)).or_insert(record.offset..record.offset);
        // A topic that was deleted and created again starts from 0.
        *log = log.start.min(record.offset)..record.offset + 1;
        self.rates.count(&event.topic, event.at);
        if is_new {
            self.news.add(&event);
        }
        let changed = self.catalogue.apply(&event);
        self.history.push(event);
        changed.map(|sku| self.catalogue.offer(&sku).unwrap_or_else(|| gone(sku)))
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        self.groups.show(&self.logs)
    }

    /// The topics with their lanes; dead letters only where there are any.
    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        let mut topics: BTreeMap<&str, TopicInfo> = BTreeMap::new();
        let latest = self.history.lanes(IN_LANE);
        for ((topic, partition), log) in &self.logs {
            let info = topics.entry(topic).or_insert_with(|| TopicInfo {
                name: topic.clone(),
                records: 0,
                lanes: Vec::new(),
            });
            info.records += log.end - log.start;
            let latest = latest.get(&(topic.as_str(), *partition)).into_iter().flatten();
            let chips = latest.map(|event| frame::chip(event, 1)).collect();
            info.lanes.push(LaneInfo { partition: *partition, chips });
        }
        topics.into_values().collect()
    }

    /// Returns what happened since the last frame.
    pub(crate) fn take_frame(&mut self, now: i64) -> Frame {
        let (chips, events, omitted) = self.news.take();
        let summary = |group: Group| {
            let partitions = group.members.iter().map(|member| member.partitions).collect();
            (group.service, Summary { members: group.members.len(), lag: group.lag, partitions })
        };
        Frame {
            now,
            chips,
            events,
            omitted,
            rates: self.rates.last_second(now),
            groups: self.groups().into_iter().map(summary).collect(),
            kafka: self.kafka,
            kept: self.history.len(),
        }
    }
}

/// A product that can no longer be ordered.
fn gone(sku: String) -> Offer {
    Offer { sku, name: String::new(), price: String::new(), available: 0 }
}
