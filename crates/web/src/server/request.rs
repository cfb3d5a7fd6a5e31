//! What a server asks of a request beyond what the HTTP parser does, and whether its body has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderMap, Method, Uri, Version};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::slots::Line;
use crate::Problem;

/// A request that is refused whatever it asks for; the middleware around all routes answers it.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Problem);

/// Refuses what no sound client sends, and brings the target into the usual form.
pub(super) fn check(request: &mut hyper::Request<Incoming>) -> Result<(), Problem> {
    host(request.version(), request.headers())?;
    if request.method() == Method::CONNECT || request.uri().path().is_empty() {
        return Err(Problem::bad_request("This is no proxy: a request's target is a path here."));
    }
    if let Some(scheme) = request.uri().scheme_str() {
        if !matches!(scheme, "http" | "https") {
            return Err(Problem::bad_request("The target is neither a path nor a URL of http."));
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    Ok(())
}

/// One Host and no more, which HTTP/1.0 may omit (RFC 9112, section 3.2).
fn host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Problem::bad_request("The request names no Host.")),
        (Some(_), Some(_)) => Err(Problem::bad_request("The request names its Host more than once.")),
        (Some(host), None) => {
            let is_host =
                |host: &str| host.parse::<Authority>().is_ok_and(|name| !name.as_str().contains('@'));
            let sound = host.to_str().is_ok_and(|host| host.is_empty() || is_host(host));
            sound.then_some(()).ok_or_else(|| Problem::bad_request("The request's Host is no host."))
        }
    }
}

/// Whether where a request ends can be told from its head alone.
pub(super) fn has_known_length(headers: &HeaderMap) -> bool {
    !headers.contains_key(TRANSFER_ENCODING)
}

/// A request's body that tells when it is here as a whole.
pub(super) struct Watched {
    inner: Incoming,
    line: Arc<Line>,
    complete: Arc<AtomicBool>,
}

impl Watched {
    pub(super) fn new(inner: Incoming, line: Arc<Line>) -> (Self, Arc<AtomicBool>) {
        let complete = Arc::new(AtomicBool::new(false));
        let body = Self { inner, line, complete: Arc::clone(&complete) };
        body.look(false);
        (body, complete)
    }

    fn look(&self, ended: bool) {
        if ended || self.inner.is_end_stream() {
            self.complete.store(true, Ordering::Relaxed);
            self.line.answers();
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
