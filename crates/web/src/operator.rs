//! Operators' tokens, checked before the body is read: put [`Operator`] first among a handler's arguments. Tokens are
//! compared by their digests and in constant time, so neither content nor length leaks. Each operator request is a
//! line in the log with the target [`AUDIT`].

mod tokens;

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri, request::Parts};

use crate::Problem;

pub use tokens::{AdminToken, token_matches};

/// The log target of operator requests; `RUST_LOG=audit=off` turns them off.
pub const AUDIT: &str = "audit";

/// The operator who makes a request, known once the token has been checked. The middleware adds it to each request and
/// logs it with the answer's status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act(Arc<OnceLock<Arc<str>>>);

impl Act {
    fn by(&self, operator: &Arc<str>) {
        // A second extractor finds the same operator, so a value that is already set is right.
        let _ = self.0.set(Arc::clone(operator));
    }

    /// Logs an operator's request: operator, method, path and status. No query and no body, so no address.
    pub(crate) fn log(&self, method: &Method, target: &Uri, status: StatusCode) {
        if let Some(operator) = self.0.get() {
            let (method, path, status) = (method.as_str(), target.path(), status.as_u16());
            tracing::info!(target: AUDIT, operator = &**operator, method, path, status, "an operator's request");
        }
    }
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750); none when the header is absent, repeated or of another
/// scheme.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Proof that the caller is an operator. Every operator handler has it as an argument, before the body.
#[derive(Debug)]
pub struct Operator(());

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    AdminToken: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tokens = AdminToken::from_ref(state);
        if tokens.admit(parts) {
            return Ok(Self(()));
        }
        let detail = match bearer(&parts.headers) {
            Some(_) => "This is not an operator's token.",
            None => {
                "This request needs an operator's token: send Authorization: Bearer with the ADMIN_TOKEN."
            }
        };
        Err(tokens.refuse(parts, detail).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let pair = |value: &&'static str| (AUTHORIZATION, value.parse().unwrap());
        values.iter().map(pair).collect()
    }

    #[test]
    fn a_bearer_token_is_read_with_its_scheme_in_any_case() {
        assert_eq!(bearer(&headers(&["bearer  abc"])), Some("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer "]] {
            assert_eq!(bearer(&headers(bad)), None, "{bad:?}");
        }
        let mut twice = headers(&["Bearer a"]);
        twice.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert_eq!(bearer(&twice), None);
    }
}
