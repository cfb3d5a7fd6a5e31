//! Where Kafka's logs begin and end.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use time::OffsetDateTime;

use crate::kafka::{self, Quiet, Reader};
use crate::positions::{BEGINNING, Partition};
use crate::settings::Settings;

/// The first offset of each partition's log, and the one that the next record will get.
pub(crate) type Logs = BTreeMap<Partition, Range<i64>>;

/// Whether nothing can be read at this position.
pub(crate) fn outside(position: i64, log: &Range<i64>) -> bool {
    position != BEGINNING && !(log.start..=log.end).contains(&position)
}

/// The log of each partition of a topic; `None`: Kafka does not have it, or with fewer partitions. Blocks.
pub(crate) fn of_topic(
    reader: &Reader,
    settings: &Settings,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Logs>, KafkaError> {
    let partitions: Vec<Partition> =
        (0..settings.partitions).map(|number| (topic.to_owned(), number)).collect();
    match bounds(reader, settings, &partitions, timeout) {
        Err(KafkaError::MetadataFetch(code)) if is_unknown(code) => Ok(None),
        Ok(logs) if logs.len() < partitions.len() => Ok(None),
        logs => logs.map(Some),
    }
}

/// Whether the log of a partition has no record at `offset` or behind it, but a transaction's marker, or what compaction has
/// left. Blocks.
pub(crate) fn has_no_record_from(
    settings: &Settings,
    (topic, number): &Partition,
    offset: i64,
    timeout: Duration,
) -> Result<bool, KafkaError> {
    let mut client = kafka::client(settings);
    client.set("group.id", settings.group()).set("enable.auto.commit", "false");
    client.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    let reader: Reader = client.create_with_context(Quiet)?;
    let mut from = TopicPartitionList::with_capacity(1);
    from.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(offset))?;
    reader.assign(&from)?;
    match reader.poll(timeout) {
        Some(Err(KafkaError::PartitionEOF(_))) => Ok(true),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(false),
    }
}

fn is_unknown(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    matches!(code, UnknownPartition | UnknownTopic | UnknownTopicOrPartition)
}

/// Asks Kafka, once for all partitions; of those that it does not know nothing is told. Blocks.
pub(crate) fn bounds<C: ConsumerContext, X: Consumer<C>>(
    consumer: &X,
    settings: &Settings,
    partitions: &[Partition],
    timeout: Duration,
) -> Result<Logs, KafkaError> {
    let starts = offsets(consumer, settings, partitions, Offset::Beginning, timeout)?;
    let mut ends = offsets(consumer, settings, partitions, Offset::End, timeout)?;
    let bounds = |(partition, start)| ends.remove(&partition).map(|end| (partition, start..end));
    Ok(starts.into_iter().filter_map(bounds).collect())
}

/// The first offset of each of these logs that Kafka appended at or after `time`; the end of the log when there is none.
pub(crate) fn starts_at<C: ConsumerContext, X: Consumer<C>>(
    consumer: &X,
    settings: &Settings,
    logs: &Logs,
    time: OffsetDateTime,
    timeout: Duration,
) -> Result<BTreeMap<Partition, i64>, KafkaError> {
    let millis = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX).max(0);
    let partitions: Vec<Partition> = logs.keys().cloned().collect();
    let found = offsets(consumer, settings, &partitions, Offset::Offset(millis), timeout)?;
    let first = |(partition, log): (&Partition, &Range<i64>)| {
        (partition.clone(), found.get(partition).copied().unwrap_or(log.end))
    };
    Ok(logs.iter().map(first).collect())
}

/// The first offset at or after `at`: a moment in milliseconds, or an end of the log, which stands for a moment here.
pub(crate) fn offsets<C: ConsumerContext, X: Consumer<C>>(
    consumer: &X,
    settings: &Settings,
    partitions: &[Partition],
    at: Offset,
    timeout: Duration,
) -> Result<BTreeMap<Partition, i64>, KafkaError> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for (topic, number) in partitions {
        wanted.add_partition_offset(&settings.topic_name(topic), *number, at)?;
    }
    let told = consumer.offsets_for_times(wanted, timeout)?;
    let offset = |(topic, number): &Partition| {
        let element = told.find_partition(&settings.topic_name(topic), *number)?;
        element.error().ok()?;
        match element.offset() {
            Offset::Offset(offset) => Some(((topic.clone(), *number), offset)),
            _ => None,
        }
    };
    Ok(partitions.iter().filter_map(offset).collect())
}
