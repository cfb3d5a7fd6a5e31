//! The tokens of operators, and the limit on guessing them.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Act, bearer};
use crate::{ClientAddress, Limit, Problem};

/// The wrong tokens that a client may present at once, and per minute; further ones are answered with 429.
const WRONG_TOKENS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

/// The tokens of operators; without any, nothing matches. Part of a handler's state.
#[derive(Clone)]
pub struct AdminToken(Arc<Tokens>);

struct Tokens {
    known: Vec<(Arc<str>, [u8; 32])>,
    wrong: Limit<ClientAddress>,
}

impl AdminToken {
    /// Keeps the digests of the tokens, each with its operator's name; a name may have several, as during a change.
    /// Without any, every operator request is a 401, and this logs a warning.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let known = tokens.into_iter().map(|(name, token)| (name.into(), digest(token.expose_secret())));
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            tracing::warn!("ADMIN_TOKEN is not set: every operator request will be answered with 401");
        }
        metrics::describe_counter!("operator_tokens_refused_total", "Wrong tokens presented, by status.");
        Self(Arc::new(Tokens { known, wrong: Limit::per_minute(WRONG_TOKENS) }))
    }

    /// Whether `presented` is an operator's token.
    pub fn matches(&self, presented: &str) -> bool {
        self.operator(presented).is_some()
    }

    /// Whether the request bears an operator's token; if so, the request is logged as that operator's.
    pub fn admit(&self, parts: &Parts) -> bool {
        let operator = bearer(&parts.headers).and_then(|presented| self.operator(presented));
        if let Some((operator, act)) = operator.zip(parts.extensions.get::<Act>()) {
            act.by(operator);
        }
        operator.is_some()
    }

    /// Returns the problem for a request whose token is wrong or absent: 401 with `detail`, or 429 once its client
    /// has presented too many wrong ones. The right token is still admitted then, so that a stranger behind the same
    /// address cannot lock an operator out.
    pub async fn refuse(&self, parts: &mut Parts, detail: &'static str) -> Problem {
        let unauthorized = Problem::unauthorized(detail);
        if bearer(&parts.headers).is_none() {
            return unauthorized;
        }
        let client = ClientAddress::from_request_parts(parts, &()).await;
        let limited = client.and_then(|client| self.0.wrong.check(&client));
        let problem = limited.err().unwrap_or(unauthorized);
        let status = problem.status().as_str().to_owned();
        metrics::counter!("operator_tokens_refused_total", "status" => status).increment(1);
        problem
    }

    /// Returns the operator whose token this is. All tokens are compared, so that the time does not reveal which one
    /// matched.
    fn operator(&self, presented: &str) -> Option<&Arc<str>> {
        let presented = digest(presented);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (index, (_, expected)) in self.0.known.iter().enumerate() {
            let same = expected.ct_eq(&presented);
            place.conditional_assign(&(index as u64), same);
            found |= same;
        }
        let place = usize::try_from(place).ok().filter(|_| found.into())?;
        self.0.known.get(place).map(|(name, _)| name)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares two tokens in constant time; for tokens other than operators'.
pub fn token_matches(expected: &str, presented: &str) -> bool {
    digest(expected).ct_eq(&digest(presented)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_its_operator_and_an_unset_one_nothing() {
        assert!(!AdminToken::new([]).matches(""));
        let (ada, former, bob) = ("secret of ada".into(), "former of ada".into(), "secret of bob".into());
        let set = AdminToken::new([("ada", &ada), ("ada", &former), ("bob", &bob)]);
        let name = |presented: &str| set.operator(presented).map(ToString::to_string);
        assert_eq!(name("secret of ada").as_deref(), Some("ada"));
        assert_eq!(name("former of ada").as_deref(), Some("ada"));
        assert_eq!(name("secret of bob").as_deref(), Some("bob"));
        assert!(!set.matches("Secret of ada") && !set.matches(""));
        assert!(token_matches("a", "a") && !token_matches("a", "b"));
    }
}
