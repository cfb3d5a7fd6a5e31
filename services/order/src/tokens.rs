//! What is made with `TOKEN_KEY`: tokens that are checked by making them again, so that nothing that works as one is
//! stored, and digests that tell nothing to who reads the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::values::OrderId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use web::idempotency::Key;

/// Makes and checks tokens. The purpose goes into each, so that one is never taken for another.
#[derive(Clone)]
pub(crate) struct Tokens(Hmac<Sha256>);

impl Tokens {
    /// Under the bytes of `TOKEN_KEY`.
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }

    /// The token that lets its bearer cancel the order.
    pub(crate) fn cancel(&self, order: OrderId) -> String {
        URL_SAFE_NO_PAD.encode(self.digest("cancel", order.uuid().as_bytes()))
    }

    /// The idempotency key as it may be stored: neither the client's own words nor a hash of the body, which holds an
    /// address that could be guessed, are readable from it.
    pub(crate) fn conceal(&self, key: Key) -> Key {
        Key {
            value: URL_SAFE_NO_PAD.encode(self.digest("idempotency key", key.value.as_bytes())),
            fingerprint: self.digest("fingerprint", &key.fingerprint),
            ..key
        }
    }

    fn digest(&self, purpose: &str, content: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(purpose.as_bytes());
        mac.update(content);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use web::operator::token_matches;

    use super::*;

    #[test]
    fn a_token_is_of_one_order_and_one_key() {
        let (tokens, now) = (Tokens::new(b"0123456789abcdef"), OffsetDateTime::UNIX_EPOCH);
        let (order, other) = (OrderId::new(now), OrderId::new(now));
        assert!(token_matches(&tokens.cancel(order), &tokens.cancel(order)));
        assert_ne!(tokens.cancel(order), tokens.cancel(other));
        assert_ne!(tokens.cancel(order), Tokens::new(b"fedcba9876543210").cancel(order));
        assert_eq!(tokens.cancel(order).len(), 43);
    }

    #[test]
    fn an_idempotency_key_is_the_same_and_tells_nothing() {
        let tokens = Tokens::new(b"0123456789abcdef");
        let key =
            |value: &str| Key { operation: "POST /orders".into(), value: value.into(), fingerprint: [7; 32] };
        assert_eq!(tokens.conceal(key("ada@example.com")), tokens.conceal(key("ada@example.com")));
        let concealed = tokens.conceal(key("ada@example.com"));
        assert_ne!(concealed, tokens.conceal(key("bob@example.com")));
        assert!(!concealed.value.contains("ada") && concealed.fingerprint != [7; 32]);
    }
}
