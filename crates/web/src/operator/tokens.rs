//! The tokens that operators may present, and the brake on guessing them.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Act, bearer};
use crate::{ClientAddress, Limit, Problem};

/// A client may present so many wrong tokens at once, and as many in any minute; then it hears 429.
const WRONG_TOKENS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

/// The tokens of operators; nothing matches when there are none. Part of a handler's state.
#[derive(Clone)]
pub struct AdminToken(Arc<Tokens>);

struct Tokens {
    known: Vec<(Arc<str>, [u8; 32])>,
    wrong: Limit<ClientAddress>,
}

impl AdminToken {
    /// Keeps the digests of the tokens, each with its operator's name; a name may have several, as while one is changed.
    /// Without any, every operator call will be 401, which is said once here.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let known = tokens.into_iter().map(|(name, token)| (name.into(), digest(token.expose_secret())));
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            tracing::warn!("ADMIN_TOKEN is not set: every operator call will be answered with 401");
        }
        metrics::describe_counter!("operator_tokens_refused_total", "Wrong tokens presented, by status.");
        Self(Arc::new(Tokens { known, wrong: Limit::per_minute(WRONG_TOKENS) }))
    }

    /// Whether `presented` is an operator's token.
    pub fn matches(&self, presented: &str) -> bool {
        self.operator(presented).is_some()
    }

    /// Whether the request bears an operator's token; then it is logged as that operator's act.
    pub fn admit(&self, parts: &Parts) -> bool {
        let operator = bearer(&parts.headers).and_then(|presented| self.operator(presented));
        if let Some((operator, act)) = operator.zip(parts.extensions.get::<Act>()) {
            act.by(operator);
        }
        operator.is_some()
    }

    /// The answer to a request whose token is not right, or absent: 401 with `detail`, or 429 once its client has
    /// presented too many wrong ones. The right token is admitted all the same, so that a stranger behind the same
    /// address locks no operator out.
    pub async fn refuse(&self, parts: &mut Parts, detail: &'static str) -> Problem {
        let unauthorized = Problem::unauthorized(detail);
        if bearer(&parts.headers).is_none() {
            return unauthorized;
        }
        let client = ClientAddress::from_request_parts(parts, &()).await;
        let braked = client.and_then(|client| self.0.wrong.check(&client));
        let problem = braked.err().unwrap_or(unauthorized);
        let status = problem.status().as_str().to_owned();
        metrics::counter!("operator_tokens_refused_total", "status" => status).increment(1);
        problem
    }

    /// The operator whose token this is. All of them are compared, so that the time does not tell which one was near.
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

/// Whether two tokens are the same, in constant time; for tokens other than operators'.
pub fn token_matches(expected: &str, presented: &str) -> bool {
    digest(expected).ct_eq(&digest(presented)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_token_matches_nothing() {
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
