//! Settings, logging and errors that all librdkafka clients of this crate share.

use connection::Connection;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode;

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
            _ if self.is_forbidden() => format!("{self}: {}", missing_right("it", &settings.program, false)),
            Some(refusal) => format!("Kafka refuses the connection: {refusal}"),
            None => self.to_string(),
        }
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

/// Returns the text about a right that the ACLs do not give to the service, or to its command `migrate`.
pub fn missing_right(forbidden: &str, program: &str, is_migration: bool) -> String {
    let (user, option) = if is_migration { ("`migrate`", " --migrate") } else { ("the service", "") };
    format!("the ACLs forbid {forbidden}; this prints the rights that {user} needs: {program} acls{option}")
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
