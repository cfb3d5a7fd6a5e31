//! Reads a topic once, up to the end that it has now, without following it: for commands that look for something.

use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use time::OffsetDateTime;

use crate::kafka::{self, Quiet, Reader};
use crate::logs;
use crate::record::Record;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the topic could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    Read,
    /// Kafka does not have it, or with fewer partitions.
    NoTopic,
}

/// Hands `take` the records of `topic` (without prefix) that are there now, each partition in log order, until it breaks.
/// `since`: only those that Kafka appended at or after this moment. Blocks.
pub(crate) fn scan(
    settings: &Settings,
    topic: &str,
    since: Option<OffsetDateTime>,
    mut take: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<Scanned, KafkaError> {
    let mut client = kafka::client(settings);
    client
        .set("group.id", settings.group())
        .set("enable.auto.commit", "false")
        // What retention deletes meanwhile is not there.
        .set("auto.offset.reset", "earliest")
        // The last offset of a log need not hold a record.
        .set("enable.partition.eof", "true")
        // Memory: what is fetched ahead.
        .set("queued.max.messages.kbytes", "8192");
    let reader: Reader = client.create_with_context(Quiet)?;
    let Some(mut unread) = logs::of_topic(&reader, settings, topic, TIMEOUT)? else {
        return Ok(Scanned::NoTopic);
    };
    if let Some(since) = since {
        let starts = logs::starts_at(&reader, settings, &unread, since, TIMEOUT)?;
        for (partition, log) in &mut unread {
            log.start = starts.get(partition).copied().unwrap_or(log.end);
        }
    }
    unread.retain(|_, log| !log.is_empty());
    let mut list = TopicPartitionList::new();
    for ((topic, number), log) in &unread {
        list.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(log.start))?;
    }
    reader.assign(&list)?;
    while !unread.is_empty() {
        let message = match reader.poll(TIMEOUT).unwrap_or(Err(KafkaError::Canceled)) {
            Err(KafkaError::PartitionEOF(number)) => {
                unread.remove(&(topic.to_owned(), number));
                continue;
            }
            message => message?,
        };
        let partition = (topic.to_owned(), message.partition());
        let Some(log) = unread.get(&partition) else { continue };
        if message.offset() + 1 >= log.end {
            unread.remove(&partition);
        }
        if take(Record::copy(&message, topic)).is_break() {
            break;
        }
    }
    Ok(Scanned::Read)
}
