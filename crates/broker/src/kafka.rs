//! Settings, logging, errors and blocking calls that all librdkafka clients of this crate share.

use std::time::Duration;

use connection::Connection;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::oneshot;

use crate::outbox::MAX_DEAD_LETTER_BYTES;
use crate::settings::Settings;

/// An error of the Kafka client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct KafkaError(rdkafka::error::KafkaError);

impl KafkaError {
    /// Returns whether the ACLs forbid the call.
    pub fn is_forbidden(&self) -> bool {
        use RDKafkaErrorCode::{
            ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
        };
        let code = self.0.rdkafka_error_code();
        matches!(code, Some(ClusterAuthorizationFailed | GroupAuthorizationFailed | TopicAuthorizationFailed))
    }

    /// Returns the text for the operator, with what to check where Kafka refuses the connection or the ACLs forbid the call.
    pub fn explain(&self, settings: &Settings) -> String {
        match settings.connection.refusal() {
            _ if self.is_forbidden() => {
                let program = &settings.program;
                format!(
                    "{self}: the ACLs forbid it; this prints the rights that the service needs: {program} acls"
                )
            }
            Some(refusal) => format!("Kafka refuses the connection: {refusal}"),
            None => self.to_string(),
        }
    }

    /// A client whose connection Kafka refuses.
    pub(crate) fn refused() -> Self {
        Self(rdkafka::error::KafkaError::Global(RDKafkaErrorCode::Authentication))
    }

    /// A blocking call that ended without a result.
    pub(crate) fn canceled() -> Self {
        Self(rdkafka::error::KafkaError::Canceled)
    }
}

impl From<rdkafka::error::KafkaError> for KafkaError {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Self(error)
    }
}

pub(crate) fn client(settings: &Settings) -> ClientConfig {
    settings.client_properties().into_iter().collect()
}

pub(crate) fn producer(settings: &Settings) -> ClientConfig {
    let mut config = client(settings);
    config
        // acks=all, and no duplicate by librdkafka's own retries.
        .set("enable.idempotence", "true")
        // Finite, so that a dead partition is reported and the other partitions continue.
        .set("message.timeout.ms", "10000")
        .set("message.max.bytes", MAX_DEAD_LETTER_BYTES.to_string())
        // The rows that the relay sends at once share their requests; waiting for more gains nothing.
        .set("linger.ms", "0.2")
        // The placement of the Java clients, so that other tools agree on a key's partition.
        .set("partitioner", "murmur2_random");
    with_passed(config, settings)
}

pub(crate) fn consumer(settings: &Settings) -> ClientConfig {
    let mut config = client(settings);
    config
        .set("group.id", settings.group())
        .set("partition.assignment.strategy", "cooperative-sticky")
        // The position in the database decides; a position outside the log raises an alarm, never a jump.
        .set("auto.offset.reset", "error")
        .set("enable.auto.offset.store", "false")
        // Kafka's committed offsets serve lag displays only.
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        // The minimum that brokers allow by default: a dead member is noticed after 6 s instead of 45 s.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        // A member that waits for its database does not poll; after this time the group continues without it. More than
        // a minute, so that an outage of a minute causes no rebalance.
        .set("max.poll.interval.ms", "90000")
        // These bound the memory for prefetched records.
        .set("queued.max.messages.kbytes", "8192")
        .set("queued.min.messages", "1000")
        .set("fetch.max.bytes", "4194304")
        .set("fetch.message.max.bytes", "262144")
        .set("fetch.queue.backoff.ms", "5")
        // A lost connection is reported, so that the logs are verified before records of the next one are applied.
        .set("log.connection.close", "true")
        .set_log_level(RDKafkaLogLevel::Info)
        // Reports how far each partition is fetched, and its leader.
        .set("statistics.interval.ms", "2000");
    if let Some(instance) = &settings.instance {
        config.set("group.instance.id", format!("{}{instance}", settings.prefix));
    }
    with_passed(config, settings)
}

/// Lets the operator's properties (`KAFKA_CLIENT_…`) override the client's own.
fn with_passed(mut config: ClientConfig, settings: &Settings) -> ClientConfig {
    for (name, value) in settings.connection.passed() {
        config.set(name, value);
    }
    config
}

/// Runs a blocking call on a thread of its own. The runtime does not wait for that thread, so a process can stop while
/// Kafka does not answer. `None`: the call panicked.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = sender.send(call());
    });
    receiver.await.ok()
}

/// A client that reads logs and their offsets and joins no group.
pub(crate) type Reader = BaseConsumer<Quiet>;

/// The settings of a [`Reader`]. It knows the service's group, whose committed offsets it may look up.
pub(crate) fn reader_config(settings: &Settings) -> ClientConfig {
    let mut config = client(settings);
    config.set("group.id", settings.group()).set("enable.auto.commit", "false");
    // Only this log line, of level info, shows that a broker expects another security.protocol.
    config.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
    config
}

pub(crate) fn reader(settings: &Settings) -> KafkaResult<Reader> {
    reader_config(settings).create_with_context(Quiet(settings.connection.clone()))
}

/// Takes librdkafka's log lines and errors off a reader that nobody polls, so that its context notes a refusal.
pub(crate) fn take_events(reader: &Reader) {
    while reader.poll(Duration::ZERO).is_some() {}
}

/// A client context that only logs, and notes refusals.
pub(crate) struct Quiet(pub(crate) Connection);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.0, level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        log_error(&self.0, &error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// Logs at debug level: librdkafka repeats itself while Kafka is away, and outages are logged elsewhere. Notes a refusal, which
/// the error callback of a client that nobody polls would never see.
pub(crate) fn log(connection: &Connection, level: RDKafkaLogLevel, facility: &str, message: &str) {
    connection.note(message);
    tracing::debug!(?level, facility, "librdkafka: {message}");
}

/// Logs at debug level, because the caller receives the error too. Notes a refusal, of which the caller sees only that Kafka
/// does not answer.
pub(crate) fn log_error(connection: &Connection, error: &rdkafka::error::KafkaError, reason: &str) {
    connection.note(reason);
    tracing::debug!(%error, reason, "librdkafka");
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
        let reader = reader(&settings).unwrap();
        reader.fetch_metadata(None, Duration::from_secs(1)).unwrap_err();
        take_events(&reader);
        let refusal = settings.connection.refusal().unwrap();
        assert!(refusal.contains("the brokers expect another KAFKA_SECURITY_PROTOCOL"), "{refusal}");
    }
}
