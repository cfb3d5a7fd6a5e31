//! What every librdkafka client of this crate shares: its settings, and why they are not the defaults; its log; and how
//! to wait for a call that blocks.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::oneshot;

use crate::settings::Settings;

pub(crate) fn client(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", settings.instance.as_deref().unwrap_or(&settings.service))
        // A broker that comes back is found within a second, not ten.
        .set("reconnect.backoff.max.ms", "1000")
        // A topic that was deleted and made anew is noticed within seconds, not five minutes.
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set("log.connection.close", "false");
    config
}

pub(crate) fn producer(settings: &Settings) -> ClientConfig {
    let mut config = client(settings);
    config
        // acks=all, and no duplicate by librdkafka's own retries.
        .set("enable.idempotence", "true")
        // Finite, so that a dead partition is told and the others go on.
        .set("message.timeout.ms", "10000")
        .set("message.max.bytes", crate::topics::MAX_DEAD_LETTER_BYTES.to_string())
        // The relay hands over many rows at once; waiting for more gains nothing.
        .set("linger.ms", "0")
        // The Java clients' placement, so that other tools agree on a key's partition.
        .set("partitioner", "murmur2_random");
    config
}

pub(crate) fn consumer(settings: &Settings) -> ClientConfig {
    let mut config = client(settings);
    config
        .set("group.id", settings.group())
        .set("partition.assignment.strategy", "cooperative-sticky")
        // The position in the database decides; a position that the log does not have is an alarm, never a jump.
        .set("auto.offset.reset", "error")
        .set("enable.auto.offset.store", "false")
        // Kafka's committed offsets are for lag displays alone.
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        // The broker's minimum: a member that died is noticed after 6 s, not 45.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        // A member that waits for its database does not poll; the group goes on without it after this. More than a
        // minute, so that an outage of a minute costs no rebalance.
        .set("max.poll.interval.ms", "90000")
        // Memory: what is fetched ahead.
        .set("queued.max.messages.kbytes", "8192")
        .set("queued.min.messages", "1000")
        .set("fetch.max.bytes", "4194304")
        .set("fetch.message.max.bytes", "262144")
        .set("fetch.queue.backoff.ms", "5")
        // A lost connection is reported, so that the logs are verified before anything is read from the next one.
        .set("log.connection.close", "true")
        .set_log_level(RDKafkaLogLevel::Info)
        // How far each partition is fetched, and who leads it.
        .set("statistics.interval.ms", "2000");
    if let Some(instance) = &settings.instance {
        config.set("group.instance.id", format!("{}{instance}", settings.prefix));
    }
    config
}

/// Runs a call that blocks on a thread of its own, which nobody need wait for: a process that is to stop does not hang on
/// a Kafka that does not answer. `None`: the call panicked.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = sender.send(call());
    });
    receiver.await.ok()
}

/// A client that looks at Kafka's logs and follows nothing.
pub(crate) type Reader = BaseConsumer<Quiet>;

pub(crate) fn reader(settings: &Settings) -> KafkaResult<Reader> {
    client(settings).create_with_context(Quiet)
}

/// A client that calls back for nothing but its log.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// librdkafka repeats itself while Kafka is away; what matters of it is told elsewhere.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, "librdkafka: {message}");
}

/// The same of its errors: whoever called gets them too.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, reason, "librdkafka");
}
