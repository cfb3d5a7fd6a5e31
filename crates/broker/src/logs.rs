//! The offsets of Kafka's logs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::record::Partition;
use crate::settings::Settings;

/// The first offset of each partition's log, and the offset of the next record to be appended.
pub type Logs = BTreeMap<Partition, Range<i64>>;

/// Returns the logs of `partitions`; partitions that Kafka does not know are omitted. Blocks.
pub fn bounds<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    settings: &Settings,
    partitions: &[Partition],
    timeout: Duration,
) -> KafkaResult<Logs> {
    let starts = offsets(consumer, settings, partitions, Offset::Beginning, timeout)?;
    let mut ends = offsets(consumer, settings, partitions, Offset::End, timeout)?;
    let bounds = |(partition, start)| ends.remove(&partition).map(|end| (partition, start..end));
    Ok(starts.into_iter().filter_map(bounds).collect())
}

/// Returns the first offset at or after `at`: a moment in milliseconds, or one end of the log. Blocks.
pub fn offsets<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    settings: &Settings,
    partitions: &[Partition],
    at: Offset,
    timeout: Duration,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let wanted = offset_list(settings, partitions.iter().map(|partition| (partition, at)))?;
    Ok(known_offsets(settings, &consumer.offsets_for_times(wanted, timeout)?))
}

/// Converts offsets to librdkafka's list.
pub fn offset_list<'a>(
    settings: &Settings,
    offsets: impl IntoIterator<Item = (&'a Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, number), offset) in offsets {
        list.add_partition_offset(&settings.topic_name(topic), *number, offset)?;
    }
    Ok(list)
}

/// Returns the offsets of a list, without the elements that have an error or no offset.
pub fn known_offsets(settings: &Settings, list: &TopicPartitionList) -> BTreeMap<Partition, i64> {
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
