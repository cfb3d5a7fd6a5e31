//! Reads a topic's records up to the end that it has now, a batch at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use envelope::Topic;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::HistoryError;
use crate::kafka::{self, Quiet, Reader};
use crate::logs;
use crate::origin::OriginKey;
use crate::record::Record;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How many records, and how many bytes, a batch has at most.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// Which records of each partition to read.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Beginning,
    /// So many before the end.
    Last(i64),
}

/// A topic that is being read.
pub(super) struct Log {
    reader: Reader,
    topic: &'static str,
    /// The end of each partition that is not read to it.
    unread: BTreeMap<i32, i64>,
    /// Only records with an id that this key made are returned; `None`: all.
    origin: Option<OriginKey>,
    foreign: u64,
}

impl Log {
    /// Opens a topic that this service owns; `None`: Kafka does not have it, so nothing was published.
    pub(super) async fn open(
        settings: &Settings,
        topic: Topic,
        from: From,
        origin: Option<OriginKey>,
    ) -> Result<Option<Self>, HistoryError> {
        let settings = settings.clone();
        let opened = kafka::blocking(move || Self::open_blocking(&settings, topic.name, from, origin)).await;
        Ok(opened.ok_or(KafkaError::Canceled)??)
    }

    fn open_blocking(
        settings: &Settings,
        topic: &'static str,
        from: From,
        origin: Option<OriginKey>,
    ) -> Result<Option<Self>, KafkaError> {
        let mut client = kafka::client(settings);
        client
            .set("group.id", settings.group())
            .set("enable.auto.commit", "false")
            // A transaction's marker, or what compaction has left, has an offset and is no record.
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            // What retention takes meanwhile was not lost by a database that lacks the last events.
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", "8192");
        let reader: Reader = client.create_with_context(Quiet)?;
        let Some(logs) = logs::of_topic(&reader, settings, topic, TIMEOUT)? else { return Ok(None) };
        let mut list = TopicPartitionList::new();
        let mut unread = BTreeMap::new();
        for ((_, number), log) in logs.into_iter().filter(|(_, log)| !log.is_empty()) {
            let start = match from {
                From::Beginning => log.start,
                From::Last(count) => log.start.max(log.end - count),
            };
            list.add_partition_offset(&settings.topic_name(topic), number, Offset::Offset(start))?;
            unread.insert(number, log.end);
        }
        reader.assign(&list)?;
        Ok(Some(Self { reader, topic, unread, origin, foreign: 0 }))
    }

    /// How many records were left out so far, because this service did not publish them.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign
    }

    /// The next records; `None`: all are read.
    pub(super) async fn next(self) -> Result<Option<(Self, Vec<Record>)>, HistoryError> {
        if self.unread.is_empty() {
            return Ok(None);
        }
        let mut log = self;
        let read = kafka::blocking(move || log.read().map(|records| (log, records))).await;
        Ok(Some(read.ok_or(KafkaError::Canceled)??))
    }

    fn read(&mut self) -> Result<Vec<Record>, KafkaError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while !self.unread.is_empty() && records.len() < RECORDS && bytes < BYTES {
            let message = match self.reader.poll(TIMEOUT).unwrap_or(Err(KafkaError::Canceled)) {
                Ok(message) => message,
                Err(KafkaError::PartitionEOF(number)) => {
                    self.unread.remove(&number);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (number, offset) = (message.partition(), message.offset());
            let Some(end) = self.unread.get(&number).copied() else { continue };
            if offset < end {
                let record = Record::copy(&message, self.topic);
                if self.origin.is_none_or(|key| key.made(&record)) {
                    bytes += record.bytes();
                    records.push(record);
                } else {
                    self.foreign += 1;
                }
            }
            if offset + 1 >= end {
                self.unread.remove(&number);
            }
        }
        Ok(records)
    }
}
