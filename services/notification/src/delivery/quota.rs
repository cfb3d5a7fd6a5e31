//! How many messages of a kind one mailbox gets per hour, over all instances. An order names an address that its sender need not
//! own: without a limit, five hundred orders are five hundred mails to a stranger.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use events::values::DeliveryId;
use sqlx::PgConnection;

use crate::domain::delivery::{Delivery, Recipient};
use crate::domain::tokens::Tokens;
use crate::store::mail_counts::{self, Key};

/// A limit per mailbox, kind of message and hour.
pub(crate) struct Quota {
    pub limit: NonZeroU32,
    /// Turns an address into the stored form of its mailbox.
    pub tokens: Tokens,
}

impl Quota {
    /// Counts the deliveries that are tried for the first time, and returns those over the limit.
    pub(crate) async fn exceeded(
        &self,
        connection: &mut PgConnection,
        deliveries: &[Delivery],
    ) -> sqlx::Result<BTreeSet<DeliveryId>> {
        let mut by_key: BTreeMap<Key, Vec<DeliveryId>> = BTreeMap::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.tries.attempts <= 1) {
            if let Recipient::Known(address) = &delivery.recipient {
                let mailbox = self.tokens.mailbox(address).bytes().to_vec();
                let key = (mailbox, <&str>::from(delivery.content.kind()).to_owned());
                by_key.entry(key).or_default().push(delivery.id);
            }
        }
        if by_key.is_empty() {
            return Ok(BTreeSet::new());
        }
        let counts = mail_counts::add(connection, &by_key).await?;
        let over = by_key.iter().flat_map(|(key, ids)| {
            let before = counts.get(key).copied().unwrap_or_default() - ids.len();
            let room = usize::try_from(self.limit.get()).unwrap_or(usize::MAX).saturating_sub(before);
            ids.iter().skip(room)
        });
        Ok(over.copied().collect())
    }
}
