//! The HTTP server of a port ([`Server`]), with bounds on slow, greedy and many clients, and the routers that it
//! serves: [`api`] for a service's API and [`plain`] for its ops port.

mod bounds;
mod connection;
#[cfg(fuzzing)]
pub mod fuzzing;
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
pub use slots::Occupancy;

use crate::in_flight::InFlight;
use crate::{About, Problem, TrustedProxies, body, budget, client, docs, middleware, openapi};
use connection::Connection;
use slots::Slots;

/// The time that requests in flight have to finish when the server stops.
const GRACE: Duration = Duration::from_secs(4);
/// The most connections that the kernel keeps until the server accepts them.
const BACKLOG: u32 = 4096;
/// The bytes that the kernel buffers per connection and direction. With many connections, more would fill a container's
/// memory.
const SOCKET_BUFFER: u32 = 64 * 1024;

/// Returns the router of a service's API: its routes, `/openapi.json` and `/docs` if `shows_docs`, and problems for all
/// other paths.
pub fn api(about: &About, routes: OpenApiRouter, proxies: TrustedProxies, shows_docs: bool) -> Router {
    middleware::describe();
    client::describe();
    budget::describe();
    let (routes, mut description) = routes.split_for_parts();
    openapi::complete(about, &mut description);
    let described = if shows_docs { docs::routes(description) } else { Router::new() };
    plain(routes.merge(described)).layer(Extension(proxies))
}

/// Returns a router without a description, such as that of the ops port, with the same middleware.
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
        "This path does not support this method; the Allow header lists those that it supports.",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text =
        cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    Problem::internal().into_response()
}

/// The reason why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindError(String);

/// Opens a port; an error names `setting`, the setting to change.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    listen(address).map_err(|cause| {
        BindError(match cause.kind() {
            ErrorKind::AddrInUse => format!(
                "{address} is in use by another program: stop that program, or set {setting} to another address"
            ),
            _ => format!("cannot listen on {address} ({setting}): {cause}"),
        })
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait for the end of the old connections.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The HTTP server of one port.
pub struct Server {
    slots: Arc<Slots>,
    bounds: Bounds,
    proxies: TrustedProxies,
}

impl Server {
    /// A server for the port called `port` in the metrics. A connection of `proxies` carries many clients, so it does
    /// not count for the limit per client.
    pub fn new(port: &'static str, bounds: Bounds, proxies: TrustedProxies) -> Self {
        slots::describe();
        Self { slots: Arc::new(Slots::new(port, &bounds)), bounds, proxies }
    }

    /// Returns a function that reads the port's current occupancy.
    pub fn occupancy(&self) -> impl Fn() -> Occupancy + Clone + Send + Sync + 'static {
        let slots = Arc::clone(&self.slots);
        move || slots.occupancy()
    }

    /// Serves until `stop`. Then closes idle connections at once and the others after their answers, within four
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

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            // The peer closed the connection before it was accepted; the next one may be waiting.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
