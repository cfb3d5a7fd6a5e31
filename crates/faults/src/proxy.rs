//! A TCP proxy on loopback between the services and one server: it delays, holds or cuts connections, and loses the answers
//! to `COMMIT`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use testkit::Place;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// The treatment of the bytes of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes them on.
    Pass,
    /// Passes them on after a pause, in both directions.
    Delay(Duration),
    /// Holds the clients' bytes, while the server's pass.
    HoldRequests,
    /// Holds the server's bytes, while the clients' pass.
    HoldAnswers,
    /// Closes each connection, also new ones.
    Cut,
    /// Passes a `COMMIT` on and closes the connection before the answer.
    LoseCommits,
}

/// A proxy that runs until the process ends.
pub(crate) struct Proxy {
    mode: watch::Sender<Mode>,
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

impl Proxy {
    /// Listens before a server.
    pub(crate) async fn open(place: &Place) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", place.front)).await.context("a proxy")?;
        let port = place.back;
        let (mode, watched) = watch::channel(Mode::Pass);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, port, watched.clone()));
            }
        });
        Ok(Self { mode })
    }

    /// Sets the treatment from now on, also of the connections that are open.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Sets the treatment until `time` has passed.
    pub(crate) async fn set_for(&self, mode: Mode, time: Duration) {
        self.set(mode);
        sleep(time).await;
        self.set(Mode::Pass);
    }
}

/// Serves one connection until either side closes it.
async fn connect(client: TcpStream, port: u16, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let lost = Arc::new(AtomicBool::new(false));
    let requests = copy(from_client, to_server, mode.clone(), Direction::Request, Arc::clone(&lost));
    let answers = copy(from_server, to_client, mode.clone(), Direction::Answer, lost);
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = cut(mode) => {}
    }
}

async fn cut(mut mode: watch::Receiver<Mode>) {
    _ = mode.wait_for(|mode| *mode == Mode::Cut).await;
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    direction: Direction,
    lost: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let held = |mode: &Mode| match direction {
            Direction::Request => *mode == Mode::HoldRequests,
            Direction::Answer => *mode == Mode::HoldAnswers,
        };
        if mode.wait_for(|mode| !held(mode)).await.is_err() {
            return;
        }
        let now = *mode.borrow_and_update();
        if let Mode::Delay(pause) = now {
            sleep(pause).await;
        }
        if direction == Direction::Answer && lost.load(Ordering::Relaxed) {
            return;
        }
        let commits =
            now == Mode::LoseCommits && direction == Direction::Request && commits(&buffer[..length]);
        if commits {
            lost.store(true, Ordering::Relaxed);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Whether a message of Postgres' protocol is the statement `COMMIT`.
fn commits(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|window| window == b"COMMIT\0")
}
