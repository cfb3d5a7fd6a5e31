//! The offsets of Kafka's logs: where they begin and end, and which offset belongs to a moment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use envelope::Topic;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use time::OffsetDateTime;

use crate::kafka::{self, KafkaError, Reader};
use crate::positions::BEGINNING;
use crate::record::Partition;
use crate::settings::Settings;

/// The first offset of each partition's log, and the offset of the next record to be appended.
pub type Logs = BTreeMap<Partition, Range<i64>>;

/// Looks up offsets of Kafka's logs, with a client that joins no group. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    client: Arc<Reader>,
    settings: Settings,
    timeout: Duration,
}

impl LogReader {
    /// Creates a reader. `timeout` bounds each request to Kafka.
    pub fn new(settings: &Settings, timeout: Duration) -> Result<Self, KafkaError> {
        let client = Arc::new(kafka::reader(settings)?);
        Ok(Self { client, settings: settings.clone(), timeout })
    }

    /// Returns the log of each partition of `topic`. `None`: Kafka does not have the topic, or has it with fewer
    /// partitions than the settings say.
    pub async fn bounds(&self, topic: &str) -> Result<Option<Logs>, KafkaError> {
        let topic = topic.to_owned();
        self.ask(move |reader| of_topic(&reader.client, &reader.settings, &topic, reader.timeout)).await
    }

    /// Returns the first offset of each of `logs` that Kafka appended at or after `time`; the end of the log when there
    /// is none.
    pub async fn offsets_at(
        &self,
        logs: Logs,
        time: OffsetDateTime,
    ) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        self.ask(move |reader| starts_at(&reader.client, &reader.settings, &logs, time, reader.timeout)).await
    }

    /// Returns the committed offsets of the service's group on `topics`, where there are any.
    pub async fn committed(&self, topics: Vec<Topic>) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        self.ask(move |reader| committed(reader, &topics)).await
    }

    /// Returns whether the log has no record at `offset` or after it, only a transaction's marker or a gap that compaction
    /// left.
    pub async fn is_empty_from(&self, partition: Partition, offset: i64) -> Result<bool, KafkaError> {
        self.ask(move |reader| is_empty_from(&reader.settings, &partition, offset, reader.timeout)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let reader = self.clone();
        let answer = kafka::blocking(move || {
            let answer = call(&reader);
            match answer {
                Ok(_) => reader.settings.connection.clear(),
                Err(_) => kafka::take_events(&reader.client),
            }
            answer
        });
        Ok(answer.await.ok_or(KafkaError::canceled())??)
    }
}

/// Returns whether `position` lies outside `log`.
pub(crate) fn is_outside(position: i64, log: &Range<i64>) -> bool {
    position != BEGINNING && !(log.start..=log.end).contains(&position)
}

/// See [`LogReader::bounds`]. Blocks.
pub(crate) fn of_topic(
    reader: &Reader,
    settings: &Settings,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<Option<Logs>> {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    let partitions: Vec<Partition> =
        (0..settings.partitions).map(|number| (topic.to_owned(), number)).collect();
    match bounds(reader, settings, &partitions, timeout) {
        Err(ClientError::MetadataFetch(UnknownPartition | UnknownTopic | UnknownTopicOrPartition)) => {
            Ok(None)
        }
        Ok(logs) if logs.len() < partitions.len() => Ok(None),
        logs => logs.map(Some),
    }
}

/// Returns the logs of `partitions`; partitions that Kafka does not know are omitted. Blocks.
pub(crate) fn bounds<C: ConsumerContext, X: Consumer<C>>(
    consumer: &X,
    settings: &Settings,
    partitions: &[Partition],
    timeout: Duration,
) -> KafkaResult<Logs> {
    let starts = offsets(consumer, settings, partitions, Offset::Beginning, timeout)?;
    let mut ends = offsets(consumer, settings, partitions, Offset::End, timeout)?;
    let bounds = |(partition, start)| ends.remove(&partition).map(|end| (partition, start..end));
    Ok(starts.into_iter().filter_map(bounds).collect())
}

/// See [`LogReader::offsets_at`]. Blocks.
pub(crate) fn starts_at(
    reader: &Reader,
    settings: &Settings,
    logs: &Logs,
    time: OffsetDateTime,
    timeout: Duration,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let millis = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX).max(0);
    let partitions: Vec<Partition> = logs.keys().cloned().collect();
    let found = offsets(reader, settings, &partitions, Offset::Offset(millis), timeout)?;
    let first = |(partition, log): (&Partition, &Range<i64>)| {
        (partition.clone(), found.get(partition).copied().unwrap_or(log.end))
    };
    Ok(logs.iter().map(first).collect())
}

/// Returns the first offset at or after `at`: a moment in milliseconds, or one end of the log.
fn offsets<C: ConsumerContext, X: Consumer<C>>(
    consumer: &X,
    settings: &Settings,
    partitions: &[Partition],
    at: Offset,
    timeout: Duration,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for (topic, number) in partitions {
        wanted.add_partition_offset(&settings.topic_name(topic), *number, at)?;
    }
    Ok(known_offsets(settings, &consumer.offsets_for_times(wanted, timeout)?))
}

fn committed(reader: &LogReader, topics: &[Topic]) -> KafkaResult<BTreeMap<Partition, i64>> {
    let mut list = TopicPartitionList::new();
    for name in reader.settings.names_of(topics) {
        for number in 0..reader.settings.partitions {
            list.add_partition(&name, number);
        }
    }
    if list.count() == 0 {
        return Ok(BTreeMap::new());
    }
    Ok(known_offsets(&reader.settings, &reader.client.committed_offsets(list, reader.timeout)?))
}

/// Returns the offsets of a list, without the elements that have an error or no offset.
fn known_offsets(settings: &Settings, list: &TopicPartitionList) -> BTreeMap<Partition, i64> {
    let offset = |element: &TopicPartitionListElem<'_>| {
        let topic = settings.without_prefix(element.topic())?.to_owned();
        element.error().ok()?;
        match element.offset() {
            Offset::Offset(offset) => Some(((topic, element.partition()), offset)),
            _ => None,
        }
    };
    list.elements().iter().filter_map(offset).collect()
}

fn is_empty_from(
    settings: &Settings,
    (topic, number): &Partition,
    offset: i64,
    timeout: Duration,
) -> KafkaResult<bool> {
    let mut config = kafka::reader_config(settings);
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    let reader: Reader = config.create_with_context(kafka::Quiet(settings.connection.clone()))?;
    let mut from = TopicPartitionList::with_capacity(1);
    from.add_partition_offset(&settings.topic_name(topic), *number, Offset::Offset(offset))?;
    reader.assign(&from)?;
    match reader.poll(timeout) {
        Some(Err(ClientError::PartitionEOF(_))) => Ok(true),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(false),
    }
}
