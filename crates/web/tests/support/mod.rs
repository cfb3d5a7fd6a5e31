//! A server on a free port of loopback, and clients that send it raw bytes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use web::{Bounds, Occupancy, TrustedProxies};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// The time after which a wait fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    done: JoinHandle<()>,
    occupancy: Box<dyn Fn() -> Occupancy>,
}

/// Starts a server for these routes with these bounds.
pub(crate) async fn start(routes: Router, bounds: Bounds, proxies: &str) -> Running {
    let proxies: TrustedProxies = proxies.parse().unwrap();
    let listener = web::bind("127.0.0.1:0".parse().unwrap(), "LISTEN").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = web::Server::new("test", bounds, proxies.clone());
    let occupancy = Box::new(server.occupancy());
    let app = web::server::plain(routes).layer(axum::Extension(proxies));
    let done = tokio::spawn(server.serve(listener, app, stop.clone()));
    Running { address, stop, done, occupancy }
}

impl Running {
    /// Opens a connection and sends `text`.
    pub(crate) async fn send(&self, text: &str) -> TcpStream {
        self.send_from("127.0.0.1", text).await
    }

    /// Opens a connection from `address`, another loopback address, and sends `text`.
    pub(crate) async fn send_from(&self, address: &str, text: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        // The server may have closed the connection to make room for others.
        let _ = stream.write_all(text.as_bytes()).await;
        stream
    }

    /// Sends a request and returns the answer, head and body.
    pub(crate) async fn ask(&self, text: &str) -> String {
        answer(&mut self.send(text).await).await
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        (self.occupancy)()
    }

    /// Waits until `check` holds for the port's occupancy.
    pub(crate) async fn is(&self, what: &str, check: impl Fn(Occupancy) -> bool) {
        let started = Instant::now();
        while !check(self.occupancy()) {
            assert!(started.elapsed() < TIMEOUT, "{what}: {:?}", self.occupancy());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn close(self) -> Duration {
        let start = Instant::now();
        self.stop.cancel();
        self.done.await.unwrap();
        start.elapsed()
    }
}

/// Reads the next answer of a connection; empty when the server closed it.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = async {
        let mut byte = [0; 1];
        while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|length| length == 1) {
            text.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&text).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
        let _ = stream.read_exact(&mut body).await;
        text.extend(body);
    };
    timeout(TIMEOUT, read).await.expect("an answer, or the connection's end");
    String::from_utf8(text).unwrap()
}

/// Reads until the server closes the connection.
pub(crate) async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut text)).await.expect("the server closes the connection");
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether the server has closed this connection.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    matches!(timeout(Duration::from_millis(50), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}
