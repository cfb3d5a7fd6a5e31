//! The system that is attacked, and connections to it byte by byte.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use stack::System;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A service that does not answer by then is locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// The system, with one product.
pub(crate) struct Target {
    pub(crate) system: System,
    pub(crate) http: Client,
}

impl Target {
    pub(crate) async fn new(system: System) -> Result<Self, Box<dyn Error>> {
        let http = Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let target = Self { system, http };
        let product = json!({"name": "Mug", "price": {"amount": 1299, "currency": "EUR"}});
        let put = target.http.put(format!("{}/products/MUG", target.system.url("inventory"))).json(&product);
        put.bearer_auth(target.system.admin_token()).send().await?.error_for_status()?;
        Ok(target)
    }

    /// Where a service answers.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        let url = self.system.url(service);
        url.trim_start_matches("http://").parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// A connection on which this has been sent, as far as the service takes it.
    pub(crate) async fn send(&self, service: &str, bytes: &[u8]) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address(service)).await?;
        let _ = timeout(Duration::from_millis(500), stream.write_all(bytes)).await;
        Ok(stream)
    }

    /// All that comes back to `request` until the connection ends, or nothing more comes.
    pub(crate) async fn answer(&self, service: &str, request: &str) -> String {
        let mut answer = Vec::new();
        if let Ok(mut stream) = self.send(service, request.as_bytes()).await {
            let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A figure of a service's metrics.
    pub(crate) async fn metric(&self, service: &str, name: &str) -> Option<f64> {
        let metrics =
            self.http.get(format!("{}/metrics", self.system.ops_url(service, 1))).send().await.ok()?;
        let metrics = metrics.text().await.ok()?;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// A service's memory, in MB.
    pub(crate) async fn memory(&self, service: &str) -> f64 {
        self.metric(service, "process_resident_memory_bytes ").await.unwrap_or(f64::INFINITY) / 1e6
    }
}
