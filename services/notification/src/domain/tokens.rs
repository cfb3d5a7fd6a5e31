//! The tokens in links: a purpose, its subject, and an HMAC of both (RFC 2104). No token is stored, so none can be stolen from
//! the database, and a token of one purpose is not valid for another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::settings::TokenKeys;
use events::values::{ClaimHash, EmailAddress, OrderId, Quantity, Sku, SubscriptionId};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use time::OffsetDateTime;

/// 128 bits cannot be guessed, and keep links short.
const MAC_BYTES: usize = 16;

/// Makes tokens with `TOKEN_KEY`, and reads those made with it or with `TOKEN_KEY_PREVIOUS`.
#[derive(Clone)]
pub(crate) struct Tokens {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

/// The permission that a token carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Grant {
    /// Confirm a subscription for this quantity: the answer to the `round`-th confirmation mail, valid until the given time.
    #[serde(rename = "y")]
    Confirm(SubscriptionId, i32, Quantity, #[serde(with = "time::serde::timestamp")] OffsetDateTime),
    /// End the subscription.
    #[serde(rename = "n")]
    Unsubscribe(SubscriptionId),
    /// Subscribe again to the same product.
    #[serde(rename = "a")]
    Again(SubscriptionId),
    /// Subscribe to a product that this order was short of.
    #[serde(rename = "o")]
    Offer(OrderId, Sku, Quantity),
    /// Come from the "back in stock" message: count the click, and convert the order.
    #[serde(rename = "c")]
    Claim(SubscriptionId),
    /// Refuse mails about every product.
    #[serde(rename = "x")]
    Refuse(SubscriptionId),
    /// Take the refusals back.
    #[serde(rename = "l")]
    Lift(SubscriptionId),
}

/// A mailbox in the form stored where no address may be: an HMAC of the address without the plus part.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Mailbox {
    hash: [u8; 32],
    /// Under `TOKEN_KEY_PREVIOUS`.
    former: Option<[u8; 32]>,
}

impl Mailbox {
    /// The value to store.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.hash
    }

    /// The values that may be stored: under the current key, and under the previous one.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        std::iter::once(&self.hash).chain(&self.former).map(|hash| hash.to_vec()).collect()
    }
}

impl Tokens {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub(crate) fn new(keys: TokenKeys<'_>) -> Self {
        let with = |key| Hmac::new_from_slice(key).expect("a key of any length");
        Self { current: with(keys.current), previous: keys.previous.map(with) }
    }

    pub(crate) fn issue(&self, grant: &Grant) -> String {
        issue(&self.current, grant)
    }

    /// Reads a token; `None` when it was not made with one of the keys.
    pub(crate) fn read(&self, token: &str) -> Option<Grant> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (grant, mac) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
        let is_made_with =
            |key: &Hmac<Sha256>| key.clone().chain_update(grant).verify_truncated_left(mac).is_ok();
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.any(is_made_with).then_some(())?;
        serde_json::from_slice(grant).ok()
    }

    /// The hash of a subscription's claim, as stored and published.
    pub(crate) fn claim_hash(&self, subscription: SubscriptionId) -> ClaimHash {
        ClaimHash::of(&self.issue(&Grant::Claim(subscription)))
    }

    /// The same under `TOKEN_KEY_PREVIOUS`.
    pub(crate) fn former_claim_hash(&self, subscription: SubscriptionId) -> Option<ClaimHash> {
        let claim = |key| ClaimHash::of(&issue(key, &Grant::Claim(subscription)));
        self.previous.as_ref().map(claim)
    }

    /// The mailbox of an address. A grant is JSON, so no token's HMAC can equal one of these.
    pub(crate) fn mailbox(&self, address: &EmailAddress) -> Mailbox {
        let mailbox = address.mailbox();
        let hash = |key: &Hmac<Sha256>| {
            key.clone()
                .chain_update(b"mailbox ")
                .chain_update(mailbox.expose())
                .finalize()
                .into_bytes()
                .into()
        };
        Mailbox { hash: hash(&self.current), former: self.previous.as_ref().map(hash) }
    }
}

fn issue(key: &Hmac<Sha256>, grant: &Grant) -> String {
    // A grant consists of ids and numbers, which always serialize.
    let mut token = serde_json::to_vec(grant).unwrap_or_default();
    let mac = key.clone().chain_update(&token).finalize().into_bytes();
    token.extend_from_slice(&mac[..MAC_BYTES]);
    URL_SAFE_NO_PAD.encode(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"a key for tests alone";
    const OTHER: &[u8] = b"another key";

    fn with(current: &[u8], previous: Option<&[u8]>) -> Tokens {
        Tokens::new(TokenKeys { current, previous })
    }

    fn tokens() -> Tokens {
        with(KEY, None)
    }

    fn id() -> SubscriptionId {
        SubscriptionId::new(OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_token_grants_what_it_was_made_for_and_nothing_else() {
        let id = id();
        let grants = [
            Grant::Confirm(id, 2, Quantity::try_from(3).unwrap(), OffsetDateTime::UNIX_EPOCH),
            Grant::Unsubscribe(id),
            Grant::Again(id),
            Grant::Offer(
                OrderId::new(OffsetDateTime::UNIX_EPOCH),
                "MUG".parse().unwrap(),
                Quantity::try_from(1).unwrap(),
            ),
            Grant::Claim(id),
            Grant::Refuse(id),
            Grant::Lift(id),
        ];
        for grant in grants {
            let token = tokens().issue(&grant);
            assert_eq!(tokens().read(&token), Some(grant.clone()));
            assert_eq!(with(OTHER, None).read(&token), None);
            // After a change of the key, old links still work, and new ones are made with the new key.
            let changed = with(OTHER, Some(KEY));
            assert_eq!(changed.read(&token), Some(grant.clone()));
            assert_eq!(with(OTHER, None).read(&changed.issue(&grant)), Some(grant));
        }
        let changed = with(OTHER, Some(KEY));
        assert_eq!(changed.former_claim_hash(id), Some(tokens().claim_hash(id)));
        assert_eq!(
            (changed.claim_hash(id), tokens().former_claim_hash(id)),
            (with(OTHER, None).claim_hash(id), None)
        );
    }

    #[test]
    fn a_tampered_token_is_not_valid() {
        let token = tokens().issue(&Grant::Unsubscribe(id()));
        let other = tokens().issue(&Grant::Claim(id()));
        for index in 0..token.len() {
            let mut forged = token.clone();
            let replacement = if token.as_bytes()[index] == b'A' { "B" } else { "A" };
            forged.replace_range(index..=index, replacement);
            assert_eq!(tokens().read(&forged), None, "{forged}");
        }
        assert_eq!(tokens().read(&format!("{}{}", &token[..20], &other[20..])), None);
        assert_eq!(tokens().read(""), None);
    }

    #[test]
    fn a_mailbox_is_the_same_with_and_without_a_plus_and_is_found_under_the_previous_key() {
        let of = |tokens: &Tokens, address: &str| tokens.mailbox(&address.parse().unwrap());
        assert!(of(&tokens(), "Ada+shop@example.com") == of(&tokens(), "ada@example.com"));
        assert!(of(&tokens(), "ada@example.com") != of(&tokens(), "bob@example.com"));
        let (old, new) = (of(&tokens(), "ada@example.com"), of(&with(OTHER, Some(KEY)), "ada@example.com"));
        assert!(old.bytes() != new.bytes() && new.all().contains(&old.bytes().to_vec()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            prop_assert_eq!(tokens().read(&text), None);
        }
    }
}
