//! Every error answer of a door is a problem document (RFC 9457): a status, its title, a sentence that helps
//! the caller and, for 422, what is wrong where. A handler returns `Err(Problem)` and nothing else.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::pointer::pointer;

/// The media type of every error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One thing that is wrong with a request's body or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901); empty for the request as a whole, `/limit` for the query's parameter `limit`.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// What is wrong there.
    #[schema(example = "must be from 1 to 1000")]
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// An error at `pointer`, a JSON pointer such as [`crate::json::pointer`] makes.
    pub fn new(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// What went wrong, as the caller is told (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says all that a program needs.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Unprocessable Content")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong and what would help.
    #[schema(value_type = String, example = "The body has a field that is out of range.")]
    detail: Cow<'static, str>,
    /// For 422: what is wrong where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u32>,
}

impl Problem {
    /// A problem of the given status; the constructors below name the ones in use.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        // The registry renamed 413 and 422 in RFC 9110; the http crate still says the old names.
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

    /// 400: what was sent is not what the protocol asks for.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401 with `WWW-Authenticate: Bearer`.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 404: nothing is known under that path.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: the request is right, but not in the present state.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422 for one field of the body, found by the reader or later by the service.
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

    /// 503 with `Retry-After`: the request is right and the world is not.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 500: a bug. What it was stands in the log, not in the answer.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here; it has been logged.")
    }

    /// The status this problem answers with.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong where, for 422.
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
    fn a_422_names_the_place_once_in_words_and_once_for_programs() {
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
