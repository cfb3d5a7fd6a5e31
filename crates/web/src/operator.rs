//! The operator's token, judged before the body is read: put [`Operator`] first among a handler's arguments.
//! Tokens are compared by their digests and in constant time, so neither content nor length leaks.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, request::Parts};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Problem;

/// What the operator must present; nothing does when `ADMIN_TOKEN` is unset. Part of a handler's state.
#[derive(Clone)]
pub struct AdminToken(Option<Arc<[u8; 32]>>);

impl AdminToken {
    /// Keeps the digest of `ADMIN_TOKEN`; unset, every operator call will be 401, which is said once here.
    pub fn new(token: Option<&SecretString>) -> Self {
        if token.is_none() {
            tracing::warn!("ADMIN_TOKEN is not set: every operator call will be answered with 401");
        }
        Self(token.map(|token| Arc::new(Sha256::digest(token.expose_secret()).into())))
    }

    /// Whether `presented` is the operator's token.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_ref().is_some_and(|expected| same(expected, &Sha256::digest(presented).into()))
    }
}

fn same(expected: &[u8; 32], presented: &[u8; 32]) -> bool {
    expected.ct_eq(presented).into()
}

/// Whether two tokens are the same, in constant time; for tokens other than the operator's.
pub fn token_matches(expected: &str, presented: &str) -> bool {
    same(&Sha256::digest(expected).into(), &Sha256::digest(presented).into())
}

/// The token of `Authorization: Bearer …` (RFC 6750); none when it is absent, doubled or of another scheme.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Proof that the caller is the operator. An argument of every operator handler, before the body's.
#[derive(Debug)]
pub struct Operator(());

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    AdminToken: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match bearer(&parts.headers) {
            Some(presented) if AdminToken::from_ref(state).matches(presented) => Ok(Self(())),
            Some(_) => Err(Problem::unauthorized("This is not the operator's token.")),
            None => Err(Problem::unauthorized(
                "This call is the operator's: send Authorization: Bearer with the ADMIN_TOKEN.",
            )),
        }
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
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&headers(&["bearer  abc"])), Some("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer "]] {
            assert_eq!(bearer(&headers(bad)), None, "{bad:?}");
        }
        let mut twice = headers(&["Bearer a"]);
        twice.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert_eq!(bearer(&twice), None);
    }

    #[test]
    fn an_unset_token_matches_nothing() {
        assert!(!AdminToken::new(None).matches(""));
        let set = AdminToken::new(Some(&"secret".into()));
        assert!(set.matches("secret") && !set.matches("Secret") && !set.matches(""));
        assert!(token_matches("a", "a") && !token_matches("a", "b"));
    }
}
