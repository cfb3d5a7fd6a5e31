//! How many messages of a kind one mailbox gets in an hour, over all instances. An order names an address that its sender
//! need not own: without a limit, five hundred orders are five hundred mails to a stranger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use events::values::DeliveryId;
use sqlx::PgPool;
use work::furthest;

use super::content::kind_name;
use super::delivery::{Delivery, Recipient};
use crate::notify_me::tokens::Tokens;

/// A limit per mailbox, kind of message and hour.
pub(crate) struct Quota {
    /// The most messages.
    pub limit: NonZeroU32,
    /// Turns an address into what is stored of it.
    pub tokens: Tokens,
}

/// What is stored of a mailbox, and a kind.
type Key = (Vec<u8>, String);

impl Quota {
    /// Counts the deliveries that are tried for the first time, and returns those over the limit.
    pub(crate) async fn exceeded(
        &self,
        pool: &PgPool,
        deliveries: &[Delivery],
    ) -> sqlx::Result<BTreeSet<DeliveryId>> {
        let mut by_key: BTreeMap<Key, Vec<DeliveryId>> = BTreeMap::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.tries.attempts <= 1) {
            if let Recipient::Known(address) = &delivery.recipient {
                let mailbox = self.tokens.mailbox(address).bytes().to_vec();
                let key = (mailbox, kind_name(delivery.content.kind()).to_owned());
                by_key.entry(key).or_default().push(delivery.id);
            }
        }
        if by_key.is_empty() {
            return Ok(BTreeSet::new());
        }
        let begun = count(pool, &by_key).await?;
        let over = by_key.iter().flat_map(|(key, ids)| {
            let before = begun.get(key).copied().unwrap_or_default() - ids.len();
            let room = usize::try_from(self.limit.get()).unwrap_or(usize::MAX).saturating_sub(before);
            ids.iter().skip(room)
        });
        Ok(over.copied().collect())
    }
}

/// Adds these deliveries to what their mailboxes' hours hold, and returns the new counts. The keys are locked in order. An
/// hour that begins in the future was written while the database's clock was ahead; a new one begins.
async fn count(pool: &PgPool, by_key: &BTreeMap<Key, Vec<DeliveryId>>) -> sqlx::Result<HashMap<Key, usize>> {
    let mailboxes: Vec<Vec<u8>> = by_key.keys().map(|(mailbox, _)| mailbox.clone()).collect();
    let kinds: Vec<&str> = by_key.keys().map(|(_, kind)| kind.as_str()).collect();
    let new: Vec<i32> = by_key.values().map(|ids| i32::try_from(ids.len()).unwrap_or(i32::MAX)).collect();
    let rows = sqlx::query!(
        r#"
        INSERT INTO mail_counts AS counted (mailbox, kind, begun, since)
        SELECT mailbox, kind, new, now() FROM unnest($1::bytea[], $2::text[], $3::integer[]) AS due (mailbox, kind, new)
        ORDER BY mailbox, kind
        ON CONFLICT (mailbox, kind) DO UPDATE SET
            begun = excluded.begun + CASE
                WHEN counted.since BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4) THEN counted.begun
                ELSE 0 END,
            since = CASE
                WHEN counted.since BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4) THEN counted.since
                ELSE now() END
        RETURNING mailbox, kind, begun
        "#,
        &mailboxes,
        &kinds as &[&str],
        &new,
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    let counts = rows.into_iter().map(|row| {
        let begun = usize::try_from(row.begun).unwrap_or_default();
        ((row.mailbox, row.kind), begun)
    });
    Ok(counts.collect())
}

/// Forgets the counts whose hour is over, at most `limit`; returns how many.
pub(crate) async fn forget(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        r#"
        DELETE FROM mail_counts WHERE (mailbox, kind) IN (
            SELECT mailbox, kind FROM mail_counts
            WHERE since <= now() - interval '1 hour' OR since > now() + make_interval(secs => $2)
            LIMIT $1 FOR UPDATE SKIP LOCKED)
        "#,
        limit,
        furthest(Duration::ZERO).as_secs_f64(),
    );
    Ok(forgotten.execute(pool).await?.rows_affected())
}
