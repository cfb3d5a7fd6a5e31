//! Forgetting an address: its subscriptions stay as numbers for the report, without it. What it refused stays too, as an
//! HMAC of the mailbox: nobody signs an erased address up again.
//!
//! An erasure reaches all that stands here when it arrives. Comparing its time with that of a subscription would compare the
//! clocks of two services, and an address would stay that somebody asked to have forgotten. So who is erased and asks again
//! before the erasure has arrived here asks once more. An erasure is applied once: an erased contact stays erased.

use broker::Tx;
use uuid::Uuid;

use super::subscriptions::call_back;

/// Erases what these addresses, and these customers, have subscribed to; what is on its way is called back. What belongs to
/// another customer of an address stays: the order service registers one only after it has erased the one before.
pub(crate) async fn erase(tx: &mut Tx, addresses: &[&str], customers: &[Uuid]) -> sqlx::Result<()> {
    let erased = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT subscriptions.id FROM subscriptions
            WHERE (customer_id = ANY($2) AND email IS NULL AND state IN ('pending', 'waiting'))
               OR (email = ANY($1) AND NOT EXISTS (
                   SELECT FROM contacts AS other
                   WHERE other.customer_id = subscriptions.customer_id AND other.email = subscriptions.email
                     AND other.customer_id <> ALL ($2)))
            ORDER BY id FOR UPDATE
        )
        UPDATE subscriptions
        SET email = NULL, mailbox = NULL, queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id)),
            state = CASE state WHEN 'merged' THEN state ELSE 'erased' END
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        addresses as &[&str],
        customers,
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM wishes WHERE email = ANY($1)", addresses as &[&str]).execute(&mut **tx).await?;
    if erased.is_empty() { Ok(()) } else { call_back(tx, &erased).await }
}
