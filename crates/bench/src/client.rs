//! An HTTP client with one kept-alive connection. The load driver shares the machine with what it measures, so the
//! client does as little as possible per request.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A client of one service.
pub struct Client {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of the service at `host:port`.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Sends a JSON body and returns the status and the body of the answer.
    pub async fn post(&mut self, path: &str, body: String) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.address).await?,
        };
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let body = answer.into_body().collect().await?.to_bytes();
        if !closes && connection.ready().await.is_ok() {
            self.connection = Some(connection);
        }
        Ok((status, body))
    }
}

async fn connect(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
