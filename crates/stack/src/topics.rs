//! The topics of one system, identified by its prefix.

use crate::error::Result;
use crate::kafka;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(10);
/// The time for which a topic may be unknown after its creation or a broker's start.
const APPEARING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(200);

/// Returns the full names of the topics with this prefix, without Kafka's internal topics.
pub async fn list(brokers: &str, prefix: &str) -> Result<Vec<String>> {
    let prefix = prefix.to_owned();
    let asking = kafka::ask(brokers, move |consumer| {
        let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
        let names = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
        let names = names.filter(|name| name.starts_with(&prefix) && !name.starts_with("__"));
        Ok(names.map(str::to_owned).collect())
    });
    asking.await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub start: i64,
    /// The offset of the next record to be written.
    pub end: i64,
}

/// Returns the bounds of these partitions, in their order; `None` for a partition that does not exist.
pub async fn bounds(brokers: &str, partitions: &[(String, i32)]) -> Result<Vec<Option<Bounds>>> {
    // Kafka refuses a request without partitions.
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let started = Instant::now();
    loop {
        let wanted = partitions.to_vec();
        match kafka::ask(brokers, move |consumer| bounds_now(consumer, &wanted)).await {
            // A broker that was just started answers before it knows all topics and the partitions that it leads.
            Err(_) if started.elapsed() < TIMEOUT => {}
            Ok(found) if found.contains(&None) && started.elapsed() < APPEARING => {}
            answer => return answer,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn bounds_now(consumer: &BaseConsumer, partitions: &[(String, i32)]) -> Result<Vec<Option<Bounds>>> {
    let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
    let exists = |(topic, partition): &(String, i32)| {
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        found.is_some_and(|found| found.partitions().iter().any(|one| one.id() == *partition))
    };
    let existing: Vec<(String, i32)> = partitions.iter().filter(|one| exists(one)).cloned().collect();
    if existing.is_empty() {
        return Ok(vec![None; partitions.len()]);
    }
    let starts = offsets(consumer, &existing, Offset::Beginning)?;
    let ends = offsets(consumer, &existing, Offset::End)?;
    let mut bounds = starts.into_iter().zip(ends).map(|(start, end)| Bounds { start, end });
    Ok(partitions.iter().map(|one| if exists(one) { bounds.next() } else { None }).collect())
}

/// Returns the first or the last offset of each partition. `offsets_for_times` needs one request per broker instead of
/// one per partition, and takes the two ends of a log as special timestamps.
fn offsets(consumer: &BaseConsumer, partitions: &[(String, i32)], end: Offset) -> Result<Vec<i64>> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, *partition, end)?;
    }
    let answer = consumer.offsets_for_times(asked, TIMEOUT)?;
    let offset = |(topic, partition): &(String, i32)| {
        let element = answer.find_partition(topic, *partition);
        let unknown = || crate::Error::Failed(format!("Kafka does not know {topic} [{partition}]"));
        let element = element.ok_or_else(unknown)?;
        element.error()?;
        element.offset().to_raw().ok_or_else(unknown)
    };
    partitions.iter().map(offset).collect()
}

/// Deletes the topics with this prefix. An empty prefix would match all topics of the cluster: then only the named
/// topics are deleted.
pub async fn delete(brokers: &str, prefix: &str, named: &[String]) -> Result<()> {
    let mut topics = list(brokers, prefix).await?;
    topics.retain(|name| !prefix.is_empty() || named.contains(name));
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    if !topics.is_empty() {
        let admin: AdminClient<_> = kafka::client(brokers).create()?;
        admin.delete_topics(&topics, &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;
    }
    Ok(())
}
