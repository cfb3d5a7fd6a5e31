//! The offsets of Kafka's logs: where they begin and end, and which offset belongs to a moment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use broker::maintenance::{Logs, Partition, Reader, bounds, known_offsets, offset_list, offsets};
use broker::{KafkaError, Settings};
use envelope::Topic;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use time::OffsetDateTime;

/// Looks up offsets of Kafka's logs, with a client that joins no group. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    reader: Reader,
    timeout: Duration,
}

impl LogReader {
    /// Creates a reader. `timeout` bounds each request to Kafka.
    pub fn new(settings: &Settings, timeout: Duration) -> Result<Self, KafkaError> {
        Ok(Self { reader: Reader::new(settings, &[])?, timeout })
    }

    /// Returns the log of each partition of `topic`. `None`: Kafka does not have the topic, or has it with fewer
    /// partitions than the settings say.
    pub async fn bounds(&self, topic: &str) -> Result<Option<Logs>, KafkaError> {
        let (topic, timeout) = (topic.to_owned(), self.timeout);
        self.reader.ask(move |reader| of_topic(reader, &topic, timeout)).await
    }

    /// Returns the first offset of each of `logs` that Kafka appended at or after `time`; the end of the log when there
    /// is none.
    pub async fn offsets_at(
        &self,
        logs: Logs,
        time: OffsetDateTime,
    ) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        let timeout = self.timeout;
        self.reader.ask(move |reader| starts_at(reader, &logs, time, timeout)).await
    }

    /// Returns the committed offsets of the service's group on `topics`, where there are any.
    pub async fn committed(&self, topics: &[Topic]) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        let settings = self.reader.settings();
        let partitions: Vec<_> = topics.iter().flat_map(|topic| partitions(settings, topic.name)).collect();
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let timeout = self.timeout;
        let committed = self.reader.ask(move |reader| {
            let settings = reader.settings();
            let wanted =
                offset_list(settings, partitions.iter().map(|partition| (partition, Offset::Invalid)))?;
            Ok(known_offsets(settings, &reader.client().committed_offsets(wanted, timeout)?))
        });
        committed.await
    }

    /// Returns whether the log has no record at `offset` or after it, only a transaction's marker or a gap that compaction
    /// left.
    pub async fn is_empty_from(&self, partition: Partition, offset: i64) -> Result<bool, KafkaError> {
        let timeout = self.timeout;
        self.reader.ask(move |reader| is_empty_from(reader.settings(), &partition, offset, timeout)).await
    }
}

pub(crate) fn partitions(settings: &Settings, topic: &str) -> Vec<Partition> {
    (0..settings.partitions).map(|number| (topic.to_owned(), number)).collect()
}

/// See [`LogReader::bounds`]. Blocks. A partition without a leader has no bounds now, which is an error: it may hold records.
pub(crate) fn of_topic(reader: &Reader, topic: &str, timeout: Duration) -> Result<Option<Logs>, KafkaError> {
    use RDKafkaErrorCode::{LeaderNotAvailable, UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    let partitions = partitions(reader.settings(), topic);
    let logs = match bounds(reader.client(), reader.settings(), &partitions, timeout) {
        Err(ClientError::MetadataFetch(UnknownPartition | UnknownTopic | UnknownTopicOrPartition)) => {
            Logs::new()
        }
        logs => logs?,
    };
    if logs.len() == partitions.len() {
        Ok(Some(logs))
    } else if has_partitions(reader, topic, partitions.len(), timeout)? {
        Err(ClientError::OffsetFetch(LeaderNotAvailable).into())
    } else {
        Ok(None)
    }
}

/// Returns whether Kafka has the topic with at least `count` partitions, each with or without a leader.
fn has_partitions(reader: &Reader, topic: &str, count: usize, timeout: Duration) -> Result<bool, KafkaError> {
    let name = reader.settings().topic_name(topic);
    let metadata = reader.client().client().fetch_metadata(Some(&name), timeout)?;
    let found = metadata.topics().iter().find(|found| found.name() == name);
    Ok(found.is_some_and(|found| found.partitions().len() >= count))
}

/// See [`LogReader::offsets_at`]. Blocks.
pub(crate) fn starts_at(
    reader: &Reader,
    logs: &Logs,
    time: OffsetDateTime,
    timeout: Duration,
) -> Result<BTreeMap<Partition, i64>, KafkaError> {
    let millis = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX).max(0);
    let partitions: Vec<Partition> = logs.keys().cloned().collect();
    let found = offsets(reader.client(), reader.settings(), &partitions, Offset::Offset(millis), timeout)?;
    let first = |(partition, log): (&Partition, &Range<i64>)| {
        (partition.clone(), found.get(partition).copied().unwrap_or(log.end))
    };
    Ok(logs.iter().map(first).collect())
}

fn is_empty_from(
    settings: &Settings,
    partition: &Partition,
    offset: i64,
    timeout: Duration,
) -> Result<bool, KafkaError> {
    let properties = [("auto.offset.reset", "error"), ("enable.partition.eof", "true")];
    let reader = Reader::new(settings, &properties)?;
    reader.client().assign(&offset_list(settings, [(partition, Offset::Offset(offset))])?)?;
    match reader.client().poll(timeout) {
        Some(Err(ClientError::PartitionEOF(_))) => Ok(true),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(false),
    }
}
