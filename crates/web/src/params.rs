//! Path and query parameters whose rejections are problems: a path with a malformed id is a 404, a malformed query
//! parameter a 422.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Problem;

#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = AxumPath::from_request_parts(parts, state).await;
        path.map(|AxumPath(value)| Self(value))
            .map_err(|_| Problem::not_found("There is nothing at this path."))
    }
}

/// The parameters of the query; unknown ones are ignored, since proxies and mail programs add their own.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match AxumQuery::try_from_uri(&parts.uri) {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

/// Returns the 422. Axum names the malformed parameter only in its message: `limit: invalid digit found in string`.
fn unreadable(error: &QueryRejection) -> Problem {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match cause.split_once(": ") {
        Some((name, detail)) if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            Problem::parameter(name, format!("cannot be read: {detail}"))
        }
        _ => Problem::invalid("", format!("the query cannot be read: {cause}")),
    }
}
