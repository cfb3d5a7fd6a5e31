//! The uses of `TOKEN_KEY`: cancel tokens, which are checked by computing them again and so need not be stored, and digests
//! of idempotency keys, which reveal nothing to a reader of the database.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::TokenKeys;
use events::values::OrderId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use web::idempotency::Key;
use web::operator::token_matches;

/// Creates tokens with `TOKEN_KEY`, and accepts those of this key and of the previous one. Each digest includes its
/// purpose, so that a token of one kind is never accepted as another.
#[derive(Clone)]
pub(crate) struct Tokens {
    current: Digests,
    previous: Option<Digests>,
}

impl Tokens {
    pub(crate) fn new(keys: TokenKeys<'_>) -> Self {
        Self { current: Digests::new(keys.current), previous: keys.previous.map(Digests::new) }
    }

    /// Returns the token that allows its bearer to cancel the order.
    pub(crate) fn cancel(&self, order: OrderId) -> String {
        self.current.cancel(order)
    }

    /// Whether `presented` allows its bearer to cancel the order.
    pub(crate) fn may_cancel(&self, order: OrderId, presented: &str) -> bool {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        keys.fold(false, |found, key| found | token_matches(&key.cancel(order), presented))
    }

    /// Returns the idempotency key in its stored form. It reveals neither the client's text nor a hash of the body, from which
    /// the address could be guessed.
    pub(crate) fn conceal(&self, key: Key) -> Key {
        self.current.conceal(key)
    }

    /// Returns the stored form under the previous `TOKEN_KEY`, while one is set.
    pub(crate) fn conceal_with_previous(&self, key: &Key) -> Option<Key> {
        self.previous.as_ref().map(|previous| previous.conceal(key.clone()))
    }
}

/// The digests of one key.
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
    fn a_token_is_valid_for_one_order_and_one_key() {
        let (tokens_of_key, now) = (tokens(KEY, None), OffsetDateTime::UNIX_EPOCH);
        let (order, other) = (OrderId::new(now), OrderId::new(now));
        let token = tokens_of_key.cancel(order);
        assert!(tokens_of_key.may_cancel(order, &token) && !tokens_of_key.may_cancel(other, &token));
        assert!(!tokens(OTHER, None).may_cancel(order, &token));
        assert_eq!(token.len(), 43);
    }

    #[test]
    fn after_a_change_of_the_key_old_tokens_are_accepted_and_new_ones_created() {
        let order = OrderId::new(OffsetDateTime::UNIX_EPOCH);
        let changed = tokens(OTHER, Some(KEY));
        assert!(changed.may_cancel(order, &tokens(KEY, None).cancel(order)));
        assert_eq!(changed.cancel(order), tokens(OTHER, None).cancel(order));
        assert!(!changed.may_cancel(order, &tokens(b"a third key is none", None).cancel(order)));
        let key = || Key { operation: "POST /orders".into(), value: "k".into(), fingerprint: [7; 32] };
        assert_eq!(changed.conceal_with_previous(&key()), Some(tokens(KEY, None).conceal(key())));
        assert_eq!(tokens(KEY, None).conceal_with_previous(&key()), None);
    }

    #[test]
    fn a_stored_idempotency_key_is_stable_and_reveals_nothing() {
        let tokens = tokens(KEY, None);
        let key =
            |value: &str| Key { operation: "POST /orders".into(), value: value.into(), fingerprint: [7; 32] };
        assert_eq!(tokens.conceal(key("ada@example.com")), tokens.conceal(key("ada@example.com")));
        let concealed = tokens.conceal(key("ada@example.com"));
        assert_ne!(concealed, tokens.conceal(key("bob@example.com")));
        assert!(!concealed.value.contains("ada") && concealed.fingerprint != [7; 32]);
    }
}
