//! How the clients of this process connect to Kafka, and questions that they ask.

use crate::error::{Error, Result};
use connection::Connection;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, ClientContext};
use std::sync::OnceLock;
use std::time::Duration;

/// Asks Kafka with a client that is in no group, on a thread where the question may block.
pub async fn ask<T: Send + 'static>(
    brokers: &str,
    question: impl FnOnce(&BaseConsumer) -> Result<T> + Send + 'static,
) -> Result<T> {
    connection()?;
    let config = client(brokers);
    let asking = tokio::task::spawn_blocking(move || question(&config.create()?));
    asking.await.map_err(|error| Error::Failed(error.to_string()))?
}

static CONNECTION: OnceLock<std::result::Result<Connection, String>> = OnceLock::new();

/// Sets how the clients of this process connect to Kafka: as the `KAFKA_…` variables among these say. Without a call, those of
/// the environment apply. The first call counts.
pub fn connect_with(variables: impl Iterator<Item = (String, String)>) -> Result<()> {
    let connection = Connection::of_variables(variables).map_err(|error| Error::Failed(error.to_string()))?;
    _ = CONNECTION.set(Ok(connection));
    Ok(())
}

fn connection() -> Result<&'static Connection> {
    let of_environment = || {
        let connection = Connection::of_variables(environment_variables().into_iter());
        connection.map_err(|error| error.to_string())
    };
    CONNECTION.get_or_init(of_environment).as_ref().map_err(|why| Error::Failed(why.clone()))
}

/// Returns the variables of this process's environment that are valid Unicode.
pub fn environment_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Returns the settings of a client for these bootstrap servers. Invalid `KAFKA_…` variables count as unset: [`ask`] and the
/// readiness check of a server report them.
pub fn client(brokers: &str) -> ClientConfig {
    let mut config: ClientConfig =
        connection().map(Connection::properties).unwrap_or_default().into_iter().collect();
    config.set("bootstrap.servers", brokers).set("client.id", "stack");
    config
}

/// Asks for the number of brokers, at most for `timeout`. Blocks. The error says why Kafka refuses the connection, if it does.
pub(crate) fn count_brokers(brokers: &str, timeout: Duration) -> std::result::Result<usize, String> {
    let connection = connection().map_err(|error| error.to_string())?;
    let mut config = client(brokers);
    // Only this log line, of level info, shows that a broker expects another security.protocol.
    config.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
    let asked: KafkaResult<BaseConsumer<Noting>> = config.create_with_context(Noting(connection.clone()));
    let consumer = asked.map_err(|error| error.to_string())?;
    let answer = consumer.fetch_metadata(None, timeout);
    while answer.is_err() && consumer.poll(Duration::ZERO).is_some() {}
    answer.map(|metadata| metadata.brokers().len()).map_err(|error| match connection.refusal() {
        Some(refusal) => format!("it refuses the connection: {refusal}"),
        None => error.to_string(),
    })
}

/// The context of a client that notes why Kafka refuses the connection.
struct Noting(Connection);

impl ClientContext for Noting {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        self.0.note(message);
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.0.note(reason);
    }
}

impl ConsumerContext for Noting {}
