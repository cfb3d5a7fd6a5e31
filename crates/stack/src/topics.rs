//! The topics of one system, told by its prefix.

use crate::error::Result;
use crate::kafka;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// The names, prefix and all, of the topics that begin with this prefix; Kafka's own are left out.
pub async fn list(brokers: &str, prefix: &str) -> Result<Vec<String>> {
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = kafka::client(&brokers).create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let names = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name);
        Ok(names
            .filter(|name| name.starts_with(&prefix) && !name.starts_with("__"))
            .map(str::to_owned)
            .collect())
    });
    asking
        .await
        .map_err(|error| crate::Error::Machine(error.to_string()))?
}

/// Deletes them. An empty prefix would mean all topics of the cluster: nothing is done then.
pub async fn delete(brokers: &str, prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let names = list(brokers, prefix).await?;
    let admin: AdminClient<_> = kafka::client(brokers).create()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if !names.is_empty() {
        admin
            .delete_topics(&names, &AdminOptions::new().operation_timeout(Some(PATIENCE)))
            .await?;
    }
    Ok(())
}
