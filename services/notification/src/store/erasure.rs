//! Erasure of an address: its subscriptions stay as numbers for the report. Its refusals stay too, by an HMAC of the mailbox:
//! nobody can subscribe an erased address again.
//!
//! An erasure covers everything that is stored here when it arrives. Comparing its time with that of a subscription would compare
//! the clocks of two services, and could keep an address that its owner asked to have forgotten. So a request that follows an
//! erasure, but is stored before it arrives here, must be repeated. An erasure is applied once: an erased contact stays erased.

use broker::Tx;
use events::values::EmailAddress;
use uuid::Uuid;

use super::deliveries;
use super::subscriptions::lock_mailbox;
use crate::domain::subscription::Event;

/// Erases the subscriptions and requests of these addresses and customers, and cancels the unsent messages. A subscription of
/// another customer with the same address stays: the order service registers one only after it has erased the one before.
pub(crate) async fn erase(tx: &mut Tx, addresses: &[&str], customers: &[Uuid]) -> sqlx::Result<()> {
    // First the requests, then the mailboxes: waits for the transactions that are making a subscription of these addresses, and
    // the statement after it sees what they have made.
    sqlx::query!("DELETE FROM wishes WHERE email = ANY($1)", addresses as &[&str]).execute(&mut **tx).await?;
    let parsed = addresses.iter().filter_map(|address| address.parse::<EmailAddress>().ok());
    let mut mailboxes: Vec<EmailAddress> = parsed.map(|address| address.mailbox()).collect();
    mailboxes.sort_unstable();
    for mailbox in &mailboxes {
        lock_mailbox(tx, mailbox).await?;
    }
    let erased = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT subscriptions.id FROM subscriptions
            WHERE (customer_id = ANY($2) AND email IS NULL AND is_active(state))
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
            state = CASE WHEN state = ANY($3) THEN $4 ELSE state END
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        addresses as &[&str],
        customers,
        &Event::Erased.sources() as &[&str],
        Event::Erased.target().as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    deliveries::cancel_unsent(tx, &erased).await
}
