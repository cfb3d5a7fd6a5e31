//! The records and settings of a system's topics.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use stack::{Error, Result, kafka};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Record {
    /// With the system's prefix.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    /// The value; empty for a tombstone.
    pub value: Vec<u8>,
    /// The headers, one `name: value` per line.
    pub headers: Vec<u8>,
}

/// Returns all records that the topics with this prefix hold now.
pub async fn read(brokers: &str, prefix: &str) -> Result<Vec<Record>> {
    let names = stack::topics::list(brokers, prefix).await?;
    let brokers = brokers.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut config = kafka::client(&brokers);
        // librdkafka requires a group.id; without subscriptions and commits, no group is created.
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create()?;
        let mut from = TopicPartitionList::new();
        for name in &names {
            for partition in 0..partitions(&consumer, name)? {
                from.add_partition_offset(name, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&from)?;
        let (mut records, mut unread) = (Vec::new(), from.count());
        while unread > 0 {
            match consumer.poll(TIMEOUT) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::Failed("Kafka did not return its log in time".to_owned())),
            }
        }
        Ok(records)
    });
    reading.await.map_err(|error| Error::Failed(error.to_string()))?
}

fn partitions(client: &BaseConsumer, topic: &str) -> Result<i32> {
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
    let count = metadata.topics().iter().map(|topic| topic.partitions().len()).sum::<usize>();
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let mut headers = Vec::new();
    for header in message.headers().into_iter().flat_map(rdkafka::message::Headers::iter) {
        headers.extend_from_slice(format!("{}: ", header.key).as_bytes());
        headers.extend_from_slice(header.value.unwrap_or_default());
        headers.push(b'\n');
    }
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
    }
}

/// Deletes all records that a topic holds now, as retention would.
pub async fn delete_records(brokers: &str, topic: &str) -> Result<()> {
    let config = kafka::client(brokers);
    let admin: AdminClient<_> = config.create()?;
    let mut ends = TopicPartitionList::new();
    for partition in 0..partitions(&config.create()?, topic)? {
        // -1: up to the end, as the broker knows it.
        ends.add_partition_offset(topic, partition, Offset::End)?;
    }
    let done = admin.delete_records(&ends, &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;
    Ok(done.elements().iter().try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)?)
}

/// Replaces the settings of one topic.
pub async fn configure(brokers: &str, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
    let admin: AdminClient<_> = kafka::client(brokers).create()?;
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let config = settings.iter().fold(config, |config, (name, value)| config.set(name, value));
    let done = admin.alter_configs(&[config], &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;
    let refused = done.into_iter().find_map(std::result::Result::err);
    refused.map_or(Ok(()), |(_, code)| Err(Error::Failed(format!("Kafka refuses to change {topic}: {code}"))))
}
