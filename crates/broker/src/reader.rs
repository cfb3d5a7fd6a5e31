//! A client that joins no group: for records, offsets and metadata beside the consumer.

use std::sync::Arc;
use std::time::Duration;

use connection::Connection;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::kafka::{self, KafkaError};
use crate::record::Record;
use crate::settings::Settings;

/// A client of librdkafka that joins no group. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    client: Arc<BaseConsumer<Quiet>>,
    settings: Settings,
}

impl Reader {
    /// Creates a client with `properties` in addition to those of all readers. It knows the service's group, whose committed
    /// offsets it may look up.
    pub fn new(settings: &Settings, properties: &[(&str, &str)]) -> Result<Self, KafkaError> {
        let mut config = kafka::client(settings);
        config.set("group.id", settings.group()).set("enable.auto.commit", "false");
        // Only this log line, of level info, shows that a broker expects another security.protocol.
        config.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let client = Arc::new(config.create_with_context(Quiet(settings.connection.clone()))?);
        Ok(Self { client, settings: settings.clone() })
    }

    /// Returns the client, whose calls block.
    pub fn client(&self) -> &BaseConsumer<Quiet> {
        &self.client
    }

    /// Returns the settings with which the client was created.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Copies a record that the client has read; `None`: its topic belongs to another system.
    pub fn copy(&self, message: &BorrowedMessage<'_>) -> Option<Record> {
        Some(Record::copy(message, self.settings.without_prefix(message.topic())?))
    }

    /// Asks Kafka on a thread of its own. Not for a client that reads records, which would be lost.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let reader = self.clone();
        blocking(move || reader.answer(question)).await.ok_or(KafkaError::canceled())?
    }

    /// Asks Kafka with a new client, on a thread of its own.
    pub async fn ask_once<T: Send + 'static>(
        settings: &Settings,
        question: impl FnOnce(&Self) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let settings = settings.clone();
        let answer = blocking(move || Self::new(&settings, &[])?.answer(question));
        answer.await.ok_or(KafkaError::canceled())?
    }

    fn answer<T>(&self, question: impl FnOnce(&Self) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
        let answer = question(self);
        match answer {
            Ok(_) => self.settings.connection.clear(),
            Err(_) => self.take_events(),
        }
        answer
    }

    /// Takes librdkafka's log lines and errors off a client that nobody polls, so that its context notes a refusal.
    fn take_events(&self) {
        while self.client.poll(Duration::ZERO).is_some() {}
    }
}

/// A client context that only logs, and notes refusals.
pub struct Quiet(Connection);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(&self.0, level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        kafka::log_error(&self.0, &error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// Runs a blocking call on a thread of its own. The runtime does not wait for that thread, so a process can stop while
/// Kafka does not answer. `None`: the call panicked.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = sender.send(call());
    });
    receiver.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::consumer::Consumer as _;
    use std::io::Read as _;

    #[test]
    fn a_broker_that_closes_each_connection_may_expect_another_protocol() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers = listener.local_addr().unwrap().to_string();
        // As a listener with TLS does, which does not understand the first request of a client without.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                _ = client.unwrap().read(&mut [0; 1024]);
            }
        });
        let settings = Settings { brokers, ..Settings::new("ledger", "") };
        let reader = Reader::new(&settings, &[]).unwrap();
        reader.client().fetch_metadata(None, Duration::from_secs(1)).unwrap_err();
        reader.take_events();
        let refusal = settings.connection.refusal().unwrap();
        assert!(refusal.contains("the brokers expect another KAFKA_SECURITY_PROTOCOL"), "{refusal}");
    }
}
