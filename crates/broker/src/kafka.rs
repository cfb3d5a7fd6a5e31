//! Settings, logging, errors and blocking calls that all librdkafka clients of this crate share.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::oneshot;

use crate::outbox::MAX_DEAD_LETTER_BYTES;
use crate::settings::Settings;

/// An error of the Kafka client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct KafkaError(rdkafka::error::KafkaError);

impl KafkaError {
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
    config
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
    config
}

pub(crate) fn reader(settings: &Settings) -> KafkaResult<Reader> {
    reader_config(settings).create_with_context(Quiet)
}

/// A client context that only logs.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// Logs at debug level: librdkafka repeats itself while Kafka is away, and outages are logged elsewhere.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, "librdkafka: {message}");
}

/// Logs at debug level: the caller receives the error too.
pub(crate) fn log_error(error: &rdkafka::error::KafkaError, reason: &str) {
    tracing::debug!(%error, reason, "librdkafka");
}
