//! Two active subscriptions of one product that turn out to be one person's: an earlier version took two spellings of an
//! address for two addresses.

use broker::{Cause, Tx};
use sqlx::PgConnection;
use uuid::Uuid;

use super::confirmed::Confirmed;
use super::stock;
use super::subscriptions;

/// An active subscription.
#[derive(Debug)]
struct Active {
    id: Uuid,
    state: String,
    /// When it was asked for, as `arrivals` counts; `None` when that was not confirmed.
    arrival: Option<i64>,
}

/// Merges the subscription `id` with the active one that `email` has for `sku`, if both are active: the one that is
/// confirmed goes on, of two such the one that the address has. It keeps the older place in the queue and the quantity
/// that was confirmed last, and counts as told of every restock that either was told of.
pub(crate) async fn unite(tx: &mut Tx, id: Uuid, email: &str, sku: &str) -> sqlx::Result<()> {
    stock::look_again(tx, &[sku]).await?;
    // The upgrade has just read it.
    if let Ok(address) = email.parse() {
        subscriptions::lock_mailbox(tx, &address, sku).await?;
    }
    let active = sqlx::query_as!(
        Active,
        r#"
        SELECT id, state, CASE WHEN consented_at IS NOT NULL THEN arrival END AS "arrival?" FROM subscriptions
        WHERE (id = $1 OR (email = $2 AND sku = $3)) AND state IN ('pending', 'waiting')
        ORDER BY id FOR UPDATE
        "#,
        id,
        email,
        sku,
    );
    let active = active.fetch_all(&mut **tx).await?;
    let (own, others): (Vec<Active>, Vec<Active>) = active.into_iter().partition(|row| row.id == id);
    let ([own], [other]) = (&own[..], &others[..]) else { return Ok(()) };
    let (from, into) =
        if own.state == "waiting" && other.state == "pending" { (other, own) } else { (own, other) };
    subscriptions::merge(tx, from.id, into.id).await?;
    let row = take_over(tx, from, into).await?;
    tracing::info!(subscription_id = %from.id, into = %into.id, "subscriptions of one address merged");
    match row {
        Some(row) if row.version > 0 => row.announce(tx, Cause::default()),
        _ => Ok(()),
    }
}

/// What of the merged one counts for the one that goes on; the row when that one waits.
async fn take_over(
    connection: &mut PgConnection,
    from: &Active,
    into: &Active,
) -> sqlx::Result<Option<Confirmed>> {
    sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET activated_at = CASE WHEN subscriptions.state = 'waiting'
                                THEN LEAST(subscriptions.activated_at, merged.activated_at)
                                ELSE subscriptions.activated_at END,
            quantity = CASE WHEN $3 THEN merged.quantity ELSE subscriptions.quantity END,
            told_restocks = GREATEST(subscriptions.told_restocks, merged.told_restocks),
            expires_at = CASE WHEN merged.consent IS NULL THEN subscriptions.expires_at
                              ELSE GREATEST(subscriptions.expires_at, merged.expires_at) END,
            version = subscriptions.version + CASE WHEN subscriptions.state = 'waiting' THEN 1 ELSE 0 END
        FROM subscriptions AS merged
        WHERE subscriptions.id = $1 AND merged.id = $2
        RETURNING subscriptions.id, subscriptions.sku, subscriptions.quantity, subscriptions.order_id, subscriptions.version
        "#,
        into.id,
        from.id,
        from.arrival > into.arrival,
    )
    .fetch_optional(connection)
    .await
}
