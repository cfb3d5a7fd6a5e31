//! A port: routes with everything that every service answers alike around them ([`door`]), and the server that
//! answers on it ([`Server`]), within bounds on slow, greedy and many clients.

mod bounds;
mod connection;
mod head;
mod request;
mod slots;
mod stream;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub use bounds::Bounds;
pub(crate) use request::Refused;
pub use slots::Occupancy;

use crate::in_flight::InFlight;
use crate::{About, Problem, TrustedProxies, body, budget, client, docs, middleware, openapi};
use connection::Connection;
use slots::Slots;

/// Requests being answered when the server stops have so long to finish.
const GRACE: Duration = Duration::from_secs(4);
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;
/// What the kernel keeps of an answer that its client does not take, and of a request that is not read: with many
/// connections, more would fill a container's memory.
const SOCKET_BUFFER: u32 = 64 * 1024;

/// A service's API: its routes, `/openapi.json` and `/docs` where they are wanted, problems for all else.
pub fn door(about: &About, routes: OpenApiRouter, proxies: TrustedProxies, shows_docs: bool) -> Router {
    middleware::describe();
    client::describe();
    budget::describe();
    let (routes, mut api) = routes.split_for_parts();
    openapi::complete(about, &mut api);
    let described = if shows_docs { docs::routes(api) } else { Router::new() };
    plain(routes.merge(described)).layer(Extension(proxies))
}

/// Routes without a description, as the ops port's, with the same answers around them.
pub fn plain(routes: Router) -> Router {
    routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn_with_state(InFlight::default(), middleware::around))
}

async fn nothing_here() -> Problem {
    Problem::not_found("There is nothing at this path.")
}

async fn wrong_method() -> Problem {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take this method; Allow lists those it does.",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text =
        cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    Problem::internal().into_response()
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error("{address} is taken by another program: stop that one, or set {setting} to another address")]
    Taken {
        /// The address asked for.
        address: SocketAddr,
        /// The setting that says which.
        setting: &'static str,
    },
    /// Not ours to open, or no such address here.
    #[error("cannot listen on {address} ({setting}): {cause}")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// The setting that says which.
        setting: &'static str,
        /// Why not.
        cause: std::io::Error,
    },
}

/// Opens a port; an error names `setting`, the one to change.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    listen(address).map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => BindError::Taken { address, setting },
        _ => BindError::Refused { address, setting, cause },
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait for the old connections' end.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on one port.
pub struct Server {
    slots: Arc<Slots>,
    bounds: Bounds,
    proxies: TrustedProxies,
}

impl Server {
    /// A server for the port called `port` in the metrics. Connections of `proxies` are many clients' and so not counted
    /// as one's.
    pub fn new(port: &'static str, bounds: Bounds, proxies: TrustedProxies) -> Self {
        slots::describe();
        Self { slots: Arc::new(Slots::new(port, &bounds)), bounds, proxies }
    }

    /// How full the port is, now and whenever it is asked.
    pub fn occupancy(&self) -> impl Fn() -> Occupancy + Clone + Send + Sync + 'static {
        let slots = Arc::clone(&self.slots);
        move || slots.occupancy()
    }

    /// Serves until `stop`, then closes idle connections at once and the others when they are answered, within four
    /// seconds.
    pub async fn serve(self, listener: TcpListener, app: Router, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener)).await {
            let is_proxy = self.proxies.contain(peer);
            let Some(Some(slot)) = stop.run_until_cancelled(self.slots.take(peer, is_proxy)).await else {
                continue;
            };
            let bounds = if is_proxy { self.bounds.of_a_proxy() } else { self.bounds.clone() };
            let connection = Connection { stream, peer, slot, bounds };
            let connection = connection.serve(app.clone(), stop.clone());
            let cut = cut.clone();
            connections.spawn(async move { cut.run_until_cancelled_owned(connection).await });
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "closing connections that did not finish in time"
            );
            cut.cancel();
            connections.wait().await;
        }
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            // The peer's doing, seen at accept; the next one is waiting.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections at the moment");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
