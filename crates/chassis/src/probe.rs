//! `SERVICE health`: asks this service's own ops port whether it is ready. The containers have no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(4);
const LONGEST_ANSWER: u64 = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    #[error("no answer from {address}: {cause}")]
    Unreachable { address: SocketAddr, cause: std::io::Error },
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks `/health/ready` on the ops port at `listen`, and returns the body of the answer.
pub(crate) async fn ready(listen: SocketAddr) -> Result<String, Unhealthy> {
    let address = reachable(listen);
    let answer = tokio::time::timeout(TIMEOUT, ask(address)).await;
    let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|cause| Unhealthy::Unreachable { address, cause })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(Unhealthy::NotReady(body.to_owned()))
    }
}

/// Sends an HTTP/1.0 request, so that the answer is not chunked and ends with the connection.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/ready HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Returns the address by which this machine reaches a listening address.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
