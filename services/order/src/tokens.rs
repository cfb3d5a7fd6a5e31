//! What is made with `TOKEN_KEY`: tokens that are checked by making them again, so that nothing that works as one is
//! stored, and digests that tell nothing to who reads the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::TokenKeys;
use events::values::OrderId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use web::idempotency::Key;
use web::operator::token_matches;

/// Makes tokens with `TOKEN_KEY`, and checks those made with it or with the key before it. The purpose goes into each, so
/// that one is never taken for another.
#[derive(Clone)]
pub(crate) struct Tokens {
    current: Digests,
    previous: Option<Digests>,
}

impl Tokens {
    pub(crate) fn new(keys: TokenKeys<'_>) -> Self {
        Self { current: Digests::new(keys.current), previous: keys.previous.map(Digests::new) }
    }

    /// The token that lets its bearer cancel the order.
    pub(crate) fn cancel(&self, order: OrderId) -> String {
        self.current.cancel(order)
    }

    /// Whether `presented` lets its bearer cancel the order.
    pub(crate) fn may_cancel(&self, order: OrderId, presented: &str) -> bool {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        keys.fold(false, |found, key| found | token_matches(&key.cancel(order), presented))
    }

    /// The idempotency key as it may be stored: neither the client's own words nor a hash of the body, which holds an
    /// address that could be guessed, are readable from it.
    pub(crate) fn conceal(&self, key: Key) -> Key {
        self.current.conceal(key)
    }

    /// The same as it was stored before the key was changed, while that may still matter.
    pub(crate) fn conceal_as_before(&self, key: &Key) -> Option<Key> {
        self.previous.as_ref().map(|previous| previous.conceal(key.clone()))
    }
}

/// What is made with one key.
#[derive(Clone)]
struct Digests(Hmac<Sha256>);

impl Digests {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }

    fn cancel(&self, order: OrderId) -> String {
        URL_SAFE_NO_PAD.encode(self.digest("cancel", order.uuid().as_bytes()))
    }

    fn conceal(&self, key: Key) -> Key {
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

    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";
    const OTHER: &[u8] = b"fedcba9876543210";

    fn tokens(current: &[u8], previous: Option<&[u8]>) -> Tokens {
        Tokens::new(TokenKeys { current, previous })
    }

    #[test]
    fn a_token_is_of_one_order_and_one_key() {
        let (tokens_of_key, now) = (tokens(KEY, None), OffsetDateTime::UNIX_EPOCH);
        let (order, other) = (OrderId::new(now), OrderId::new(now));
        let token = tokens_of_key.cancel(order);
        assert!(tokens_of_key.may_cancel(order, &token) && !tokens_of_key.may_cancel(other, &token));
        assert!(!tokens(OTHER, None).may_cancel(order, &token));
        assert_eq!(token.len(), 43);
    }

    #[test]
    fn a_changed_key_takes_the_old_tokens_and_makes_new_ones() {
        let order = OrderId::new(OffsetDateTime::UNIX_EPOCH);
        let changed = tokens(OTHER, Some(KEY));
        assert!(changed.may_cancel(order, &tokens(KEY, None).cancel(order)));
        assert_eq!(changed.cancel(order), tokens(OTHER, None).cancel(order));
        assert!(!changed.may_cancel(order, &tokens(b"a third key is none", None).cancel(order)));
        let key = || Key { operation: "POST /orders".into(), value: "k".into(), fingerprint: [7; 32] };
        assert_eq!(changed.conceal_as_before(&key()), Some(tokens(KEY, None).conceal(key())));
        assert_eq!(tokens(KEY, None).conceal_as_before(&key()), None);
    }

    #[test]
    fn an_idempotency_key_is_the_same_and_tells_nothing() {
        let tokens = tokens(KEY, None);
        let key =
            |value: &str| Key { operation: "POST /orders".into(), value: value.into(), fingerprint: [7; 32] };
        assert_eq!(tokens.conceal(key("ada@example.com")), tokens.conceal(key("ada@example.com")));
        let concealed = tokens.conceal(key("ada@example.com"));
        assert_ne!(concealed, tokens.conceal(key("bob@example.com")));
        assert!(!concealed.value.contains("ada") && concealed.fingerprint != [7; 32]);
    }
}
