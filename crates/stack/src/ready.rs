//! Readiness checks that use a process the way its clients do.

use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub enum Ready {
    /// This URL answers with a 2xx status.
    Http(String),
    /// This database accepts a connection.
    Postgres(String),
    /// These bootstrap servers return metadata with at least one broker.
    Kafka(String),
}

impl Ready {
    /// Runs the check; an error describes the answer.
    pub async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Http(url) => http(url).await,
            Self::Postgres(url) => postgres(url).await,
            Self::Kafka(brokers) => kafka(brokers).await,
        }
    }
}

async fn http(url: &str) -> Result<(), String> {
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().map_err(|error| error.to_string())?;
    match client.get(url).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{url}: {}", answer.status())),
        Err(error) => Err(format!("{url}: {error}")),
    }
}

async fn postgres(url: &str) -> Result<(), String> {
    match tokio::time::timeout(TIMEOUT, PgConnection::connect(url)).await {
        Ok(Ok(connection)) => connection.close().await.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

async fn kafka(brokers: &str) -> Result<(), String> {
    // A plain TCP connection is refused at once, while librdkafka would retry.
    let mut refused = None;
    for broker in brokers.split(',') {
        match tokio::time::timeout(TIMEOUT, tokio::net::TcpStream::connect(broker.trim())).await {
            Ok(Ok(_)) => return metadata(brokers.to_owned()).await,
            Ok(Err(error)) => refused = Some(error.to_string()),
            Err(_) => refused = Some("no answer".to_owned()),
        }
    }
    Err(format!("{brokers}: {}", refused.unwrap_or_default()))
}

async fn metadata(brokers: String) -> Result<(), String> {
    match tokio::task::spawn_blocking(move || crate::kafka::clients::count_brokers(&brokers, TIMEOUT)).await {
        Ok(Ok(0)) => Err("no broker is registered yet".to_owned()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}
