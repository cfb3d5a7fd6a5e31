//! Reads a topic once, up to the end that it has now, without following it: for commands, and for the check at a start.

use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use time::OffsetDateTime;

use crate::kafka::{self, Quiet, Reader};
use crate::logs::{self, Logs};
use crate::record::Record;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The most records, and about the most bytes, of one [`Scan::read`].
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// The first record of each partition to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    Beginning,
    /// So many offsets before the end.
    Last(i64),
    /// The first that Kafka appended at or after this moment.
    Since(OffsetDateTime),
}

/// Whether the topic could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    Read,
    /// Kafka does not have it, or with fewer partitions.
    NoTopic,
}

/// A topic that is being read.
pub(crate) struct Scan {
    reader: Reader,
    topic: String,
    /// The partitions that are not read to the end that they had.
    unread: Logs,
}

impl Scan {
    /// Opens `topic` (without prefix); `None`: Kafka does not have it, or with fewer partitions. Blocks.
    pub(crate) fn open(settings: &Settings, topic: &str, start: Start) -> Result<Option<Self>, KafkaError> {
        let mut client = kafka::client(settings);
        client
            .set("group.id", settings.group())
            .set("enable.auto.commit", "false")
            // What retention deletes meanwhile is not there.
            .set("auto.offset.reset", "earliest")
            // The last offset of a log need not hold a record.
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            // Memory: what is fetched ahead.
            .set("queued.max.messages.kbytes", "8192");
        let reader: Reader = client.create_with_context(Quiet)?;
        let Some(mut unread) = logs::of_topic(&reader, settings, topic, TIMEOUT)? else { return Ok(None) };
        match start {
            Start::Beginning => {}
            Start::Last(count) => {
                for log in unread.values_mut() {
                    log.start = log.start.max(log.end - count);
                }
            }
            Start::Since(time) => {
                let starts = logs::starts_at(&reader, settings, &unread, time, TIMEOUT)?;
                for (partition, log) in &mut unread {
                    log.start = starts.get(partition).copied().unwrap_or(log.end);
                }
            }
        }
        unread.retain(|_, log| !log.is_empty());
        let mut list = TopicPartitionList::new();
        for ((topic, number), log) in &unread {
            list.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(log.start))?;
        }
        reader.assign(&list)?;
        Ok(Some(Self { reader, topic: topic.to_owned(), unread }))
    }

    /// Whether every partition is read to the end that it had.
    pub(crate) fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Returns the next records, those of each partition in log order. Blocks.
    pub(crate) fn read(&mut self) -> Result<Vec<Record>, KafkaError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while !self.is_read() && records.len() < RECORDS && bytes < BYTES {
            let message = match self.reader.poll(TIMEOUT).unwrap_or(Err(KafkaError::Canceled)) {
                Err(KafkaError::PartitionEOF(number)) => {
                    self.unread.remove(&(self.topic.clone(), number));
                    continue;
                }
                message => message?,
            };
            let partition = (self.topic.clone(), message.partition());
            let Some(log) = self.unread.get(&partition) else { continue };
            let (offset, end) = (message.offset(), log.end);
            if offset + 1 >= end {
                self.unread.remove(&partition);
            }
            if offset < end {
                let record = Record::copy(&message, &self.topic);
                bytes += record.bytes();
                records.push(record);
            }
        }
        Ok(records)
    }
}

/// Hands `take` the records of `topic` (without prefix) that are there now, until it breaks. Blocks.
pub(crate) fn scan(
    settings: &Settings,
    topic: &str,
    start: Start,
    mut take: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<Scanned, KafkaError> {
    let Some(mut scan) = Scan::open(settings, topic, start)? else { return Ok(Scanned::NoTopic) };
    while !scan.is_read() {
        if scan.read()?.into_iter().try_for_each(&mut take).is_break() {
            break;
        }
    }
    Ok(Scanned::Read)
}
