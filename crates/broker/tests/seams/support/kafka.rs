//! Kafka as other clients use it: any record on any topic, and an administrator's changes.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::Bank;

const TIMEOUT: Duration = Duration::from_secs(20);
const TRANSACTION: &str = "transactional.id";

/// A record to write, or that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Raw {
    /// Returns a deposit as the till publishes it.
    pub(crate) fn deposit(account: &str, sequence: usize, amount: i64) -> Self {
        let header = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        Self {
            key: Some(account.into()),
            value: Some(format!(r#"{{"account":"{account}","amount":{amount}}}"#).into_bytes()),
            headers: vec![
                header("ce_specversion", "1.0".into()),
                header("ce_id", uuid::Uuid::now_v7().to_string()),
                header("ce_source", "/till".into()),
                header("ce_type", "deposit.made.v1".into()),
                header("ce_time", "2026-11-25T08:00:00Z".into()),
                header("ce_sequence", format!("{sequence:020}")),
            ],
        }
    }

    pub(crate) fn with_value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self = self.without_header(name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|header| header.0 != name);
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.0 == name)?;
        std::str::from_utf8(&found.1).ok()
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let bytes = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
            headers.iter().map(|header| (header.key.to_owned(), bytes(header.value))).collect()
        });
        let (key, value) = (message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec));
        Self { key, value, headers }
    }
}

impl Bank {
    pub(crate) fn client(&self) -> ClientConfig {
        let properties = self.settings("till").connection.properties();
        let mut config: ClientConfig = properties.into_iter().collect();
        config.set("bootstrap.servers", &self.servers.kafka);
        config
    }

    /// Writes these records, in order, to one partition.
    pub(crate) async fn produce(&self, topic: &str, partition: i32, records: &[Raw]) {
        let mut config = self.client();
        config.set("message.max.bytes", "20000000").set("compression.type", "gzip");
        self.produce_with(config, topic, partition, records).await;
    }

    /// Writes these records in one transaction of Kafka, whose marker follows them.
    pub(crate) async fn produce_in_a_transaction(&self, topic: &str, partition: i32, records: &[Raw]) {
        let mut config = self.client();
        config.set(TRANSACTION, self.topic("outsider"));
        self.produce_with(config, topic, partition, records).await;
    }

    async fn produce_with(&self, config: ClientConfig, topic: &str, partition: i32, records: &[Raw]) {
        let (topic, records) = (self.topic(topic), records.to_vec());
        let write = move || {
            let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
            let in_transaction = config.get(TRANSACTION).is_some();
            if in_transaction {
                producer.init_transactions(TIMEOUT).unwrap();
                producer.begin_transaction().unwrap();
            }
            for raw in &records {
                let headers = raw.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
                let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition).headers(headers);
                record.key = raw.key.as_deref();
                record.payload = raw.value.as_deref();
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            if in_transaction {
                producer.commit_transaction(TIMEOUT).unwrap();
            }
            producer.flush(TIMEOUT).unwrap();
        };
        tokio::task::spawn_blocking(write).await.unwrap();
    }

    /// Returns all records of a topic, partition by partition in log order.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Raw> {
        let (topic, partitions, mut config) = (self.topic(topic), self.plan.partitions, self.client());
        config.set("group.id", "test-reader").set("enable.partition.eof", "true");
        config.set("enable.auto.commit", "false");
        let read = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
            }
            consumer.assign(&list).unwrap();
            let (mut read, mut ended) = (Vec::new(), 0);
            while ended < partitions {
                match consumer.poll(TIMEOUT).unwrap() {
                    Ok(message) => read.push((message.partition(), Raw::read(&message))),
                    Err(KafkaError::PartitionEOF(_)) => ended += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            read.sort_by_key(|(partition, _)| *partition);
            read.into_iter().map(|(_, raw)| raw).collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// Returns the published states of an account, in order.
    pub(crate) async fn balances(&self, account: &str) -> Vec<Raw> {
        let mut records = self.records("balances").await;
        records.retain(|record| record.key.as_deref() == Some(account.as_bytes()));
        records
    }

    /// Returns the state of the service's group, and the ids of its members.
    pub(crate) async fn group(&self, service: &str) -> (String, Vec<String>) {
        let (group, config) = (self.settings(service).group(), self.client());
        let ask = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let list = consumer.fetch_group_list(Some(&group), TIMEOUT).unwrap();
            let group = &list.groups()[0];
            (group.state().to_owned(), group.members().iter().map(|member| member.id().to_owned()).collect())
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// Deletes the records of a partition before `offset`, as retention would.
    pub(crate) async fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic(topic), partition, Offset::Offset(offset)).unwrap();
        self.admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    pub(crate) async fn delete_topics(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| self.topic(name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.admin().delete_topics(&names, &AdminOptions::new()).await.unwrap();
    }

    /// Replaces a topic's settings by these.
    pub(crate) async fn configure(&self, topic: &str, settings: &[(&str, &str)]) {
        let name = self.topic(topic);
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name));
        let change = settings.iter().fold(change, |change, (name, value)| change.set(name, value));
        let done = self.admin().alter_configs(&[change], &AdminOptions::new()).await.unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Returns a topic's setting.
    pub(crate) async fn configured(&self, topic: &str, setting: &str) -> String {
        let name = self.topic(topic);
        let asked = [ResourceSpecifier::Topic(&name)];
        let found = self.admin().describe_configs(&asked, &AdminOptions::new()).await.unwrap().pop();
        found.unwrap().unwrap().get(setting).unwrap().value.clone().unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }
}
