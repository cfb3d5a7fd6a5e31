//! The door itself: routes with everything that every service answers alike around them, and the server that
//! holds it open, with bounds on slow clients and on their number, until it is told to close.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::client::Peer;
use crate::{About, Problem, TrustedProxies, body, docs, middleware, openapi};

/// A client may take so long to send a request's head, or be idle between two.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// More connections than this wait to be accepted.
const CONNECTIONS: usize = 4096;
/// Requests being answered when the door closes have so long to finish.
const GRACE: Duration = Duration::from_secs(4);

/// A service's door: its routes, `/openapi.json` and `/docs`, problems for all else.
pub fn door(about: &About, routes: OpenApiRouter, proxies: TrustedProxies) -> Router {
    middleware::describe();
    let (routes, mut api) = routes.split_for_parts();
    openapi::complete(about, &mut api);
    plain(routes.merge(docs::routes(api))).layer(Extension(proxies))
}

/// Routes without a description, as the ops port's, with the same answers around them.
pub fn plain(routes: Router) -> Router {
    routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(middleware::around))
}

async fn nothing_here() -> Problem {
    Problem::not_found("There is nothing at this path; a service's /docs lists what there is.")
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
    TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => BindError::Taken { address, setting },
        _ => BindError::Refused { address, setting, cause },
    })
}

/// Serves until `stop`, then closes idle connections at once and the others when they are answered, within
/// four seconds.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let cut = CancellationToken::new();
    while let Some(Some((stream, peer, place))) = stop.run_until_cancelled(accept(&listener, &room)).await {
        let connection = connection(stream, peer, app.clone(), stop.clone(), place);
        let cut = cut.clone();
        connections.spawn(async move { cut.run_until_cancelled_owned(connection).await });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "closing connections that did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer.ip(), place)),
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

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    app: Router,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Answers are small and whole; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        answer(app.clone(), request.map(Body::new))
    });
    let server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    let mut server = pin!(server);
    let ended = if let Some(ended) = stop.run_until_cancelled(server.as_mut()).await {
        ended
    } else {
        server.as_mut().graceful_shutdown();
        server.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

async fn answer(app: Router, request: Request) -> Result<Response, Infallible> {
    app.oneshot(request).await
}
