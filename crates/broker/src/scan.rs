//! Reads a topic once, up to its present end, without joining a group.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use time::OffsetDateTime;

use crate::kafka::{self, KafkaError, Quiet, Reader};
use crate::logs::{self, Logs};
use crate::record::{Partition, Record};
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The bounds of one [`Scan::next`]: at most this many records, and about this many bytes.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// The first record to read of each partition.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// The first record of the log.
    Beginning,
    /// This many offsets before the end.
    Last(i64),
    /// The first record that Kafka appended at or after this moment.
    Since(OffsetDateTime),
}

impl Start {
    /// Returns the offset of the first record to read of each of `logs`. Blocks.
    pub(crate) fn offsets(
        self,
        reader: &Reader,
        settings: &Settings,
        logs: &Logs,
        timeout: Duration,
    ) -> KafkaResult<BTreeMap<Partition, i64>> {
        let first = |log: &Range<i64>| match self {
            Self::Last(count) => log.start.max(log.end - count),
            Self::Beginning | Self::Since(_) => log.start,
        };
        match self {
            Self::Since(time) => logs::starts_at(reader, settings, logs, time, timeout),
            _ => Ok(logs.iter().map(|(partition, log)| (partition.clone(), first(log))).collect()),
        }
    }
}

/// A topic that is read from a [`Start`] to the end that it had when it was opened.
pub struct Scan {
    /// `None`: an earlier call failed.
    open: Option<Open>,
}

struct Open {
    reader: Reader,
    topic: String,
    /// The partitions that are not read to their end yet.
    unread: Logs,
}

impl Scan {
    /// Opens `topic` (without prefix). `None`: Kafka does not have the topic, or has it with fewer partitions than the
    /// settings say.
    pub async fn open(settings: &Settings, topic: &str, start: Start) -> Result<Option<Self>, KafkaError> {
        let (settings, topic) = (settings.clone(), topic.to_owned());
        let opened = kafka::blocking(move || Open::new(&settings, topic, start)).await;
        Ok(opened.ok_or(KafkaError::canceled())??.map(|open| Self { open: Some(open) }))
    }

    /// Returns the next records, those of each partition in log order. `None`: all are read.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, KafkaError> {
        let mut open = self.open.take().ok_or(KafkaError::canceled())?;
        let read = kafka::blocking(move || {
            let records = (!open.unread.is_empty()).then(|| open.read()).transpose();
            (open, records)
        });
        let (open, records) = read.await.ok_or(KafkaError::canceled())?;
        self.open = Some(open);
        Ok(records?)
    }
}

impl Open {
    fn new(settings: &Settings, topic: String, start: Start) -> KafkaResult<Option<Self>> {
        let mut config = kafka::reader_config(settings);
        config
            // Records that retention deletes meanwhile are skipped.
            .set("auto.offset.reset", "earliest")
            // The last offset of a log need not hold a record.
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            // Bounds the memory for prefetched records.
            .set("queued.max.messages.kbytes", "8192");
        let reader: Reader = config.create_with_context(Quiet(settings.connection.clone()))?;
        let Some(mut unread) = logs::of_topic(&reader, settings, &topic, TIMEOUT)? else { return Ok(None) };
        for (partition, offset) in start.offsets(&reader, settings, &unread, TIMEOUT)? {
            if let Some(log) = unread.get_mut(&partition) {
                log.start = offset;
            }
        }
        unread.retain(|_, log| !log.is_empty());
        let mut list = TopicPartitionList::new();
        for ((topic, number), log) in &unread {
            list.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(log.start))?;
        }
        reader.assign(&list)?;
        Ok(Some(Self { reader, topic, unread }))
    }

    fn read(&mut self) -> KafkaResult<Vec<Record>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while !self.unread.is_empty() && records.len() < RECORDS && bytes < BYTES {
            let message = match self.reader.poll(TIMEOUT).unwrap_or(Err(ClientError::Canceled)) {
                Err(ClientError::PartitionEOF(number)) => {
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
