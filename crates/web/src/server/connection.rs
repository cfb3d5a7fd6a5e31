//! One connection, from its first request to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::bounds::Bounds;
use super::head::Heads;
use super::request::{self, Watched};
use super::slots::{Activity, Slot};
use super::stream::{GaveUp, Stream};
use crate::Problem;
use crate::client::Peer;
use crate::middleware::Refused;

/// A connection that was accepted and has a slot.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: IpAddr,
    pub(super) slot: Slot,
    pub(super) bounds: Bounds,
}

impl Connection {
    /// Answers requests until the connection ends, gets too old or is closed to make room, or the server stops.
    pub(super) async fn serve(self, app: Router, stop: CancellationToken) {
        let Self { stream, peer, slot, bounds } = self;
        // Answers are small and written at once; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let activity = Arc::clone(&slot.activity);
        let stream = Stream::new(stream, Arc::clone(&activity), &bounds);
        let requests = Arc::new(Requests {
            peer,
            activity: Arc::clone(&activity),
            heads: stream.heads(),
            until: Instant::now() + bounds.age,
            count: AtomicU64::new(0),
        });
        let service = service_fn(move |request| Arc::clone(&requests).answer(app.clone(), request));
        let server = http1::Builder::new()
            .timer(TokioTimer::new())
            // This time starts at the end of the previous request, so it bounds the idle time too.
            .header_read_timeout(bounds.idle)
            .max_buf_size(bounds.buffer)
            .max_header_size(bounds.buffer)
            .serve_connection(TokioIo::new(stream), service);
        let mut server = pin!(server);
        let ended = tokio::select! {
            ended = server.as_mut() => ended,
            () = activity.close.cancelled() => return,
            () = stop.cancelled() => {
                server.as_mut().graceful_shutdown();
                server.await
            }
            () = tokio::time::sleep(bounds.age) => {
                server.as_mut().graceful_shutdown();
                let last = tokio::time::timeout(bounds.last_request, server);
                match activity.close.run_until_cancelled(last).await {
                    None => return,
                    Some(Err(_)) => return slot.closed("age"),
                    Some(Ok(ended)) => ended,
                }
            }
        };
        if let Err(error) = ended {
            if let Some(GaveUp(reason)) = gave_up(&error) {
                slot.closed(reason);
            }
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
}

/// Returns the deadline that ended the connection, if one did.
fn gave_up(error: &hyper::Error) -> Option<&GaveUp> {
    let cause = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    cause.get_ref()?.downcast_ref()
}

/// The requests of one connection.
struct Requests {
    peer: IpAddr,
    activity: Arc<Activity>,
    heads: Arc<Mutex<Heads>>,
    until: Instant,
    count: AtomicU64,
}

impl Requests {
    async fn answer(
        self: Arc<Self>,
        app: Router,
        mut request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        self.activity.waits();
        // The head of a chunked request does not say where the request ends.
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut is_last = is_chunked || Instant::now() > self.until;
        if let Err(problem) = self.check(&mut request) {
            is_last = true;
            request.extensions_mut().insert(Refused(problem));
        }
        request.extensions_mut().insert(Peer(self.peer));
        let (parts, body) = request.into_parts();
        let (body, is_complete) = Watched::new(body, Arc::clone(&self.activity));
        let mut response = app.oneshot(axum::extract::Request::from_parts(parts, Body::new(body))).await?;
        // The unread rest of a body cannot be distinguished from the next request, so the connection ends here.
        if is_last || !is_complete.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.activity.idles();
        Ok(response)
    }

    fn check(&self, request: &mut hyper::Request<Incoming>) -> Result<(), Problem> {
        let index = self.count.fetch_add(1, Ordering::Relaxed);
        if self.heads.lock().unwrap_or_else(PoisonError::into_inner).is_malformed(index) {
            return Err(Problem::bad_request("A line of the request's head ends without a carriage return."));
        }
        request::check(request)
    }
}
