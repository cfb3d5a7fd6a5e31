//! Records that a client other than the services writes to a topic.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use testkit::kafka_client;
use tokio::time::MissedTickBehavior;

use crate::{Random, Shop, TIMEOUT};

/// The interval between two portions of a flood.
const TICK: Duration = Duration::from_millis(20);

/// A forged record with all headers of an event.
#[derive(Debug, Clone)]
pub struct Forged {
    topic: String,
    key: String,
    source: String,
    event_type: String,
    value: String,
    replaced: Vec<(String, Option<Vec<u8>>)>,
}

impl Forged {
    /// Creates the first event of a key (`ce_sequence` 1), with an empty object as its value.
    pub fn new(topic: &str, key: &str, source: &str, event_type: &str) -> Self {
        let [topic, key, source, event_type] = [topic, key, source, event_type].map(str::to_owned);
        Self { topic, key, source, event_type, value: "{}".to_owned(), replaced: Vec::new() }
    }

    /// Replaces a header; `None` is Kafka's null.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.replaced.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    #[must_use]
    pub fn with_value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }
}

impl Shop {
    /// Writes a record, as any client of the cluster can, waits until Kafka has acknowledged it, and returns partition and
    /// offset.
    pub async fn publish(&self, forged: &Forged) -> (i32, i64) {
        let producer: FutureProducer = kafka_client(self.system.brokers()).create().unwrap();
        let topic = self.system.topic(&forged.topic);
        let record = FutureRecord::to(&topic).key(&forged.key).payload(&forged.value);
        let mut headers = headers(&forged.source, &forged.event_type);
        for (key, value) in &forged.replaced {
            headers = replace(&headers, key, value.as_deref());
        }
        let record = record.headers(headers);
        let written = producer.send(record, TIMEOUT).await.unwrap();
        (written.partition, written.offset)
    }
}

/// The headers of the first event of a key.
fn headers(source: &str, event_type: &str) -> OwnedHeaders {
    let pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", "0198c0de-0000-7000-8000-000000000001"),
        ("ce_source", source),
        ("ce_type", event_type),
        ("ce_time", "2026-11-25T08:00:00Z"),
        ("ce_sequence", "00000000000000000001"),
    ];
    pairs
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// The headers with `key` replaced, or added.
fn replace(headers: &OwnedHeaders, key: &str, value: Option<&[u8]>) -> OwnedHeaders {
    let others = headers.iter().filter(|header| header.key != key);
    others.fold(OwnedHeaders::new(), OwnedHeaders::insert).insert(Header { key, value })
}

/// Writes `notification.sent` events of `seconds` at `per_second` to the topic of this full name, which only the board reads.
pub async fn flood(brokers: &str, topic: &str, per_second: u32, seconds: u32) {
    let producer: FutureProducer = kafka_client(brokers).set("linger.ms", "5").create().unwrap();
    let (mut ticks, mut random) = (tokio::time::interval(TICK), Random::new(u64::from(per_second)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (total, per_tick) = (per_second * seconds, per_second.div_ceil(50));
    for event in 0..total {
        if event % per_tick == 0 {
            ticks.tick().await;
        }
        let order = format!("01920000-0000-7000-8000-{:012x}", random.below(1 << 40));
        let value = format!(
            r#"{{"channel":"log","delivery_id":"{order}","kind":"order_confirmed","order_id":"{order}"}}"#
        );
        loop {
            let record = FutureRecord::to(topic).key(&order).payload(&value);
            match producer.send_result(record.headers(headers("/notification", "notification.sent.v1"))) {
                Ok(_) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => ticks.tick().await,
                Err((error, _)) => panic!("{error}"),
            };
        }
    }
    tokio::task::spawn_blocking(move || producer.flush(TIMEOUT)).await.unwrap().unwrap();
}
