//! The system under attack, and raw connections to it.

use std::net::SocketAddr;
use std::time::Duration;

use system_tests::{Inbox, Shop, mailing};
use testkit::System;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A system with default limits, its customers' mailboxes, and a product in stock.
pub(crate) struct Target {
    pub(crate) shop: Shop,
    pub(crate) inbox: Inbox,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let inbox = Inbox::open();
        // The script has built the services beside this program.
        let shop = Shop::with(mailing(System::builder().built(), &inbox, &[])).await;
        shop.system.leave_queues();
        shop.stock("MUG", 100_000).await;
        Self { shop, inbox }
    }

    /// The address of a service's API.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        let url = self.shop.system.url(service);
        url.trim_start_matches("http://").parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// Opens a connection and sends as many of `bytes` as the service reads within 500 ms.
    pub(crate) async fn send(&self, service: &str, bytes: &[u8]) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address(service)).await?;
        let _ = timeout(Duration::from_millis(500), stream.write_all(bytes)).await;
        Ok(stream)
    }

    /// Sends a request and returns the bytes that arrive until the connection ends, or within 2 s.
    pub(crate) async fn answer(&self, service: &str, request: &str) -> String {
        let mut answer = Vec::new();
        if let Ok(mut stream) = self.send(service, request.as_bytes()).await {
            let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}
