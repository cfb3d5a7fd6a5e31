//! Problem documents (RFC 9457), the one form of all error answers: a status, its title, a sentence that helps
//! the caller and, for 422, the invalid fields. A handler returns `Err(Problem)` and no other error.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of every error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Returns the JSON pointer (RFC 6901) to a place: `pointer(["items", "0", "sku"])` is `/items/0/sku`.
pub(crate) fn pointer<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> String {
    segments.into_iter().fold(String::new(), |pointer, segment| push(pointer, segment.as_ref()))
}

pub(crate) fn push(mut pointer: String, segment: &str) -> String {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    pointer
}

/// An error in a request's body or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The place, as a JSON pointer (RFC 6901): empty for the whole request, `/limit` for the query parameter `limit`.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// The error at that place.
    #[schema(example = "must be from 1 to 1000")]
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// An error at `pointer`, a JSON pointer.
    pub fn new(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// An error answer (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status alone identifies the problem.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Unprocessable Content")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// The cause and a remedy.
    #[schema(value_type = String, example = "The body has a field that is out of range.")]
    detail: Cow<'static, str>,
    /// The invalid fields; for 422 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u32>,
}

impl Problem {
    /// A problem of the given status; the constructors below name the ones in use.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        // RFC 9110 renamed 413 and 422; the http crate still has the old names.
        let title = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
            StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
            other => other.canonical_reason().unwrap_or("Error"),
        };
        let detail = detail.into();
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail,
            errors: vec![],
            retry_after: None,
        }
    }

    /// 400 for a request that violates the protocol.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401 with `WWW-Authenticate: Bearer`.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 404 for a path to nothing.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409 for a request that is valid but not possible in the present state.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422 for one field of the body, refused by the parser or later by the service.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::unprocessable(vec![FieldError::new(pointer, detail)])
    }

    /// 422 for several fields of the body.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => format!("The request is refused: {}.", one.detail),
            [one] => format!("The body is refused at {}: {}.", one.pointer, one.detail),
            many => format!("The body is refused for {} reasons; see errors.", many.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// 422 for a parameter of the query.
    pub fn parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let error = FieldError::new(pointer([name]), detail);
        let detail = format!("The query is refused: {name} {}.", error.detail);
        Self { errors: vec![error], ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// 429 with `Retry-After` in seconds.
    pub fn too_many_requests(retry_after: u32) -> Self {
        let detail = format!("Too many requests; try again in {retry_after} s.");
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 503 with `Retry-After` for a valid request that cannot be served now.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 500 for a bug. The cause is in the log and not in the answer.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here; it has been logged.")
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The invalid fields, for 422.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(pointer(["items", "0", "a/b~c"]), "/items/0/a~1b~0c");
        assert_eq!(pointer::<&str>([]), "");
    }

    #[test]
    fn a_422_names_the_place_in_its_detail_and_in_its_errors() {
        let problem = Problem::invalid("/items/0/sku", "no such product");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "about:blank", "title": "Unprocessable Content", "status": 422,
                "detail": "The body is refused at /items/0/sku: no such product.",
                "errors": [{"pointer": "/items/0/sku", "detail": "no such product"}]
            })
        );
    }

    #[test]
    fn headers_follow_the_status() {
        let response = Problem::unauthorized("no").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert!(Problem::unavailable("away").into_response().headers().contains_key(RETRY_AFTER));
        assert_eq!(Problem::too_many_requests(7).into_response().headers()[RETRY_AFTER], "7");
    }
}
