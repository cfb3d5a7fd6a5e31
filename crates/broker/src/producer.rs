//! Sends rows to Kafka and reports the result of each.

use connection::Connection;
use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use std::time::Duration;
use tokio::sync::mpsc;

use crate::kafka;
use crate::outbox::Row;
use crate::settings::Settings;

/// The result of sending the row with this id.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    pub id: i64,
    pub result: Result<(), KafkaError>,
}

pub(crate) struct Producer {
    inner: ThreadedProducer<Context>,
    acknowledgements: mpsc::UnboundedSender<Acknowledgement>,
}

/// Passes the results on. The delivery callback runs on librdkafka's thread and must not do more.
struct Context {
    acknowledgements: mpsc::UnboundedSender<Acknowledgement>,
    connection: Connection,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(&self.connection, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&self.connection, &error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<i64>) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        let _ = self.acknowledgements.send(Acknowledgement { id: *id, result });
    }
}

impl Producer {
    pub(crate) fn new(
        settings: &Settings,
        acknowledgements: mpsc::UnboundedSender<Acknowledgement>,
    ) -> Result<Self, KafkaError> {
        let context =
            Context { acknowledgements: acknowledgements.clone(), connection: settings.connection.clone() };
        let inner: ThreadedProducer<Context, NoCustomPartitioner> =
            kafka::producer(settings).create_with_context(context)?;
        Ok(Self { inner, acknowledgements })
    }

    /// Sends a row. An acknowledgement follows in any case, even when librdkafka refuses the row at once.
    pub(crate) fn send(&self, id: i64, topic: &str, row: &Row) {
        let headers = row.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: value.bytes() })
        });
        let mut record: BaseRecord<'_, [u8], [u8], Box<i64>> =
            BaseRecord::with_opaque_to(topic, Box::new(id)).headers(headers);
        if let Some(key) = &row.key {
            record = record.key(key.as_slice());
        }
        if let Some(value) = &row.value {
            record = record.payload(value.as_slice());
        }
        if let Err((error, _)) = self.inner.send(record) {
            let _ = self.acknowledgements.send(Acknowledgement { id, result: Err(error) });
        }
    }

    /// Returns the error after which this producer never delivers again and must be replaced.
    pub(crate) fn fatal_error(&self) -> Option<KafkaError> {
        let client: &Client<Context> = self.inner.client();
        client.fatal_error().map(|(code, text)| {
            tracing::debug!("the producer cannot continue: {text}");
            KafkaError::Global(code)
        })
    }

    /// Waits until nothing is in flight, at most `bound`. Blocks.
    pub(crate) fn flush(&self, bound: Duration) -> Result<(), KafkaError> {
        self.inner.flush(bound)
    }
}
