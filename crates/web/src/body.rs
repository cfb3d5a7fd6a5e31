//! Reading a request's body within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use crate::Problem;
use crate::budget::{BODIES, Share};

/// The largest body that is accepted, in bytes.
pub(crate) const LIMIT: usize = 64 * 1024;
/// The largest body that is read to its end, in bytes: a client that is still writing sees a 413 only after that.
const DRAIN: usize = 1024 * 1024;
/// The time in which a client must send its body.
const TIMEOUT: Duration = Duration::from_millis(2500);

/// Reads the whole body of a JSON request. A body that cannot be read is a 400, 408, 413 or 415, one that gave way to
/// newer bodies a 503.
pub(crate) async fn read_json(request: Request) -> Result<Vec<u8>, Problem> {
    let headers = request.headers();
    if !headers.contains_key(CONTENT_TYPE) && request.body().is_end_stream() {
        return Err(empty());
    }
    let unsupported = |detail| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    if !is_json(headers) {
        return Err(unsupported("The body must be JSON: send Content-Type: application/json."));
    }
    let is_coded = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(is_coded) {
        return Err(unsupported("The body must be sent as it is, without a Content-Encoding."));
    }
    // The Content-Length, or 0 for a chunked body.
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > DRAIN {
        return Err(too_large());
    }
    let share = BODIES.share();
    let body = async {
        tokio::select! {
            body = collect(request.into_body(), &share) => body,
            () = share.given_up() => {
                Err(Problem::unavailable("The body took too long while many others arrived; send it again."))
            }
        }
    };
    match tokio::time::timeout(TIMEOUT, body).await {
        Ok(body) => body,
        Err(_) if announced > LIMIT => Err(too_large()),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time; send it again."))
        }
    }
}

async fn collect(mut body: Body, share: &Share<'_>) -> Result<Vec<u8>, Problem> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("The body broke off before its end."))?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        if length > DRAIN {
            break;
        }
        if length <= LIMIT {
            kept.extend_from_slice(data);
            share.set(kept.capacity());
        } else {
            // The body is too large; the rest is only read so that the client sees the 413.
            kept = Vec::new();
            share.set(0);
        }
    }
    if length > LIMIT { Err(too_large()) } else { Ok(kept) }
}

/// 400 for an empty body.
pub(crate) fn empty() -> Problem {
    Problem::bad_request("The body is empty; JSON is expected.")
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.")
}

/// Whether the media type is `application/json`. Its parameters are ignored, as they have no meaning (RFC 8259).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
