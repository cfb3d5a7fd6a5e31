//! The topics of one system, told by its prefix.

use crate::error::Result;
use crate::kafka;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);

/// The names, prefix and all, of the topics that begin with this prefix; Kafka's own are left out.
pub async fn list(brokers: &str, prefix: &str) -> Result<Vec<String>> {
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = kafka::client(&brokers).create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let names = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
        Ok(names
            .filter(|name| name.starts_with(&prefix) && !name.starts_with("__"))
            .map(str::to_owned)
            .collect())
    });
    asking.await.map_err(|error| crate::Error::Machine(error.to_string()))?
}

/// Where these partitions begin and end: the oldest offset, and the one that the next record will get.
pub async fn bounds(brokers: &str, partitions: Vec<(String, i32)>) -> Result<(Vec<i64>, Vec<i64>)> {
    // Kafka takes a question about no partition for a mistake.
    if partitions.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let brokers = brokers.to_owned();
    let asking = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match bounds_now(&brokers, &partitions) {
                // A broker that was just started answers before it knows what it leads.
                Err(_) if Instant::now() < deadline => std::thread::sleep(AGAIN),
                answer => return answer,
            }
        }
    });
    asking.await.map_err(|error| crate::Error::Machine(error.to_string()))?
}

fn bounds_now(brokers: &str, partitions: &[(String, i32)]) -> Result<(Vec<i64>, Vec<i64>)> {
    let consumer: BaseConsumer = kafka::client(brokers).create()?;
    Ok((offsets(&consumer, partitions, Offset::Beginning)?, offsets(&consumer, partitions, Offset::End)?))
}

/// One request a broker instead of one a partition; the two ends of a log stand for points in time there.
fn offsets(consumer: &BaseConsumer, partitions: &[(String, i32)], end: Offset) -> Result<Vec<i64>> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, *partition, end)?;
    }
    let told = consumer.offsets_for_times(asked, PATIENCE)?;
    let offset = |(topic, partition): &(String, i32)| {
        let element = told.find_partition(topic, *partition);
        let unknown = || crate::Error::Machine(format!("Kafka does not know {topic} [{partition}]"));
        let element = element.ok_or_else(unknown)?;
        element.error()?;
        element.offset().to_raw().ok_or_else(unknown)
    };
    partitions.iter().map(offset).collect()
}

/// Deletes the topics that begin with the prefix. An empty one would mean all topics of the cluster: then those named.
pub async fn delete(brokers: &str, prefix: &str, named: &[String]) -> Result<()> {
    let mut doomed = list(brokers, prefix).await?;
    doomed.retain(|name| !prefix.is_empty() || named.contains(name));
    let doomed: Vec<&str> = doomed.iter().map(String::as_str).collect();
    if !doomed.is_empty() {
        let admin: AdminClient<_> = kafka::client(brokers).create()?;
        admin.delete_topics(&doomed, &AdminOptions::new().operation_timeout(Some(PATIENCE))).await?;
    }
    Ok(())
}
