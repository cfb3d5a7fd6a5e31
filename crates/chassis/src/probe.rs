//! `SERVICE health`: asks this service's own ops port whether it is ready, for container checks, where there
//! is no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(4);
const ANSWER: u64 = 64 * 1024;

/// Why a service is not healthy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    /// Nobody answers.
    #[error("no answer from {address}: {cause}")]
    Unreachable {
        /// The ops port.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
    /// It answers, but is not ready.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks `/health/ready` on the ops port at `listen`; the answer's body is what the service tells of itself.
pub(crate) async fn ready(listen: SocketAddr) -> Result<String, Unhealthy> {
    let address = reachable(listen);
    let answer = tokio::time::timeout(PATIENCE, ask(address)).await;
    let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|cause| Unhealthy::Unreachable { address, cause })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(Unhealthy::NotReady(body.to_owned()))
    }
}

/// HTTP/1.0, so that the answer ends with the connection and comes in one piece.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/ready HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Where a listening address can be reached from this machine.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
