//! Merges two active subscriptions of one product that turn out to be one person's: an earlier version took two spellings of an
//! address for two addresses.

use broker::{Cause, Tx};
use uuid::Uuid;

use crate::domain::subscription::{Status, Survivor, survivor};
use crate::store::consent::Confirmed;
use crate::store::{stock, subscriptions, undecodable};

#[derive(Debug)]
struct Active {
    id: Uuid,
    status: Status,
    /// The number of its request in `arrivals`; `None` when it was not confirmed.
    arrival: Option<i64>,
}

/// Merges the subscription `id` with the active one that `email` has for `sku`, if both are active. The confirmed one goes on; of
/// two confirmed ones that of the address. It keeps the older place on the waitlist and the quantity that was confirmed last, and
/// counts as notified of every restock that either was notified of.
pub(super) async fn unite(tx: &mut Tx, id: Uuid, email: &str, sku: &str) -> sqlx::Result<()> {
    stock::make_wave_due(tx, &[sku]).await?;
    // The upgrade has just read it.
    if let Ok(address) = email.parse() {
        subscriptions::lock_mailbox(tx, &address).await?;
    }
    let (own, others): (Vec<Active>, Vec<Active>) =
        active(tx, id, email, sku).await?.into_iter().partition(|row| row.id == id);
    let ([own], [other]) = (&own[..], &others[..]) else { return Ok(()) };
    let (from, into) = match survivor(own.status, other.status) {
        Survivor::New => (other, own),
        Survivor::Known => (own, other),
    };
    subscriptions::merge(tx, from.id, into.id).await?;
    let row = take_over(tx, from, into).await?;
    tracing::info!(subscription_id = %from.id, into = %into.id, "subscriptions of one address merged");
    match row {
        Some(row) if row.version > 0 => row.announce(tx, Cause::default()),
        _ => Ok(()),
    }
}

/// Locks the active subscriptions.
async fn active(tx: &mut Tx, id: Uuid, email: &str, sku: &str) -> sqlx::Result<Vec<Active>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, state, CASE WHEN consented_at IS NOT NULL THEN arrival END AS "arrival?" FROM subscriptions
        WHERE (id = $1 OR (email = $2 AND sku = $3)) AND is_active(state)
        ORDER BY id FOR UPDATE
        "#,
        id,
        email,
        sku,
    );
    let rows = rows.fetch_all(&mut **tx).await?.into_iter().map(|row| {
        Ok(Active { id: row.id, status: row.state.parse().map_err(undecodable)?, arrival: row.arrival })
    });
    rows.collect()
}

/// Writes what the surviving subscription takes over from the merged one; returns it when it is on the waitlist.
async fn take_over(tx: &mut Tx, from: &Active, into: &Active) -> sqlx::Result<Option<Confirmed>> {
    sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET activated_at = CASE WHEN $4 THEN LEAST(subscriptions.activated_at, merged.activated_at)
                                ELSE subscriptions.activated_at END,
            quantity = CASE WHEN $3 THEN merged.quantity ELSE subscriptions.quantity END,
            told_restocks = GREATEST(subscriptions.told_restocks, merged.told_restocks),
            expires_at = CASE WHEN merged.consent IS NULL THEN subscriptions.expires_at
                              ELSE GREATEST(subscriptions.expires_at, merged.expires_at) END,
            version = subscriptions.version + CASE WHEN $4 THEN 1 ELSE 0 END
        FROM subscriptions AS merged
        WHERE subscriptions.id = $1 AND merged.id = $2
        RETURNING subscriptions.id, subscriptions.sku, subscriptions.quantity, subscriptions.order_id, subscriptions.version
        "#,
        into.id,
        from.id,
        from.arrival > into.arrival,
        into.status == Status::Waiting,
    )
    .fetch_optional(&mut **tx)
    .await
}
