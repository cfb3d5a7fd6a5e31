//! Path and query parameters whose rejections are problems: a path with an id that cannot be is a path to
//! nothing (404), a query parameter that cannot be read is 422.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Problem;

/// Parameters of the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || Problem::not_found("Nothing is known under this path.");
        // Postgres has no NUL in text; here is the one place that keeps it out of every path.
        if parts.uri.path().contains("%00") {
            return Err(nothing());
        }
        let path = AxumPath::from_request_parts(parts, state).await;
        path.map(|AxumPath(value)| Self(value)).map_err(|_| nothing())
    }
}

/// Parameters of the query; unknown ones are ignored, as proxies and mail programs add their own.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Problem::invalid("", "the query contains a NUL character"));
        }
        match AxumQuery::try_from_uri(&parts.uri) {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

/// The reader names the parameter that it could not read in its sentence alone: `limit: invalid digit found in string`.
fn unreadable(error: &QueryRejection) -> Problem {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match cause.split_once(": ") {
        Some((name, detail)) if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            Problem::parameter(name, format!("cannot be read: {detail}"))
        }
        _ => Problem::invalid("", format!("the query cannot be read: {cause}")),
    }
}
