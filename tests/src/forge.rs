//! Records that a client other than the services writes to a topic, and a helper to run the commands of a service.

use std::process::Output;

use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use testkit::kafka_client;

use crate::{Shop, TIMEOUT};

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

    /// Sets the value.
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
pub(crate) fn headers(source: &str, event_type: &str) -> OwnedHeaders {
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

/// Runs a command of a service. Returns its standard output when it succeeds, else its standard error.
pub async fn run(shop: &Shop, service: &str, arguments: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        shop.system.command(service).args(arguments).output().await.unwrap();
    let (output, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    if !status.success() {
        return Err(errors);
    }
    assert!(
        errors.is_empty() && !output.contains("ERROR"),
        "unexpected output of {service} {arguments:?}:\n{errors}{output}"
    );
    Ok(output)
}
