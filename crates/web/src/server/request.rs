//! Checks of a request that the HTTP parser does not make, and a body that reports when it is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::http::header::HOST;
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderMap, Method, Uri, Version};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::slots::Activity;
use crate::Problem;

/// Refuses requests that no correct client sends, and turns an absolute target into a path.
pub(super) fn check(request: &mut hyper::Request<Incoming>) -> Result<(), Problem> {
    host(request.version(), request.headers())?;
    if request.method() == Method::CONNECT || request.uri().path().is_empty() {
        return Err(Problem::bad_request(
            "This server is not a proxy: the target of a request must be a path.",
        ));
    }
    if let Some(scheme) = request.uri().scheme_str() {
        if !matches!(scheme, "http" | "https") {
            return Err(Problem::bad_request("The target is neither a path nor an HTTP URL."));
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    Ok(())
}

/// Checks that there is exactly one Host; HTTP/1.0 may omit it (RFC 9112, section 3.2).
fn host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Problem::bad_request("The request has no Host header.")),
        (Some(_), Some(_)) => Err(Problem::bad_request("The request has more than one Host header.")),
        (Some(host), None) => {
            let is_host =
                |host: &str| host.parse::<Authority>().is_ok_and(|name| !name.as_str().contains('@'));
            let sound = host.to_str().is_ok_and(|host| host.is_empty() || is_host(host));
            sound.then_some(()).ok_or_else(|| Problem::bad_request("The Host header is not a valid host."))
        }
    }
}

/// A request's body that reports when all of it has arrived.
pub(super) struct Watched {
    inner: Incoming,
    activity: Arc<Activity>,
    complete: Arc<AtomicBool>,
}

impl Watched {
    pub(super) fn new(inner: Incoming, activity: Arc<Activity>) -> (Self, Arc<AtomicBool>) {
        let complete = Arc::new(AtomicBool::new(false));
        let body = Self { inner, activity, complete: Arc::clone(&complete) };
        body.look(false);
        (body, complete)
    }

    fn look(&self, ended: bool) {
        if ended || self.inner.is_end_stream() {
            self.complete.store(true, Ordering::Relaxed);
            self.activity.answers();
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.look(frame.is_none());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
