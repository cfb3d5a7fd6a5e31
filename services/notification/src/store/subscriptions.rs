//! Subscriptions: looked up, locked and ended, by their owners or by time.

use broker::{Outbox, Tx};
use events::values::{ClaimHash, EmailAddress, Quantity, Sku, SubscriptionId};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{deliveries, undecodable};
use crate::domain::subscription::{Consent, Event, Status};
use crate::domain::tokens::{Mailbox, Tokens};

/// A subscription request: the address wants a message when the product is back in stock.
#[derive(Debug)]
pub(crate) struct Request {
    pub email: EmailAddress,
    pub sku: Sku,
    pub quantity: Quantity,
}

/// A subscription, or the one that it was merged into.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub id: Uuid,
    pub sku: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub quantity: i32,
    pub status: Status,
    pub confirmed_round: i32,
    /// An order made it, and its address has not confirmed it.
    pub by_order: bool,
}

impl Subscription {
    /// The address, unless it is erased.
    pub(crate) fn email(&self) -> Option<EmailAddress> {
        EmailAddress::from_older(self.email.as_deref()?).ok()
    }

    /// The mailbox, unless the address is erased.
    pub(crate) fn mailbox(&self, tokens: &Tokens) -> Option<Mailbox> {
        Some(tokens.mailbox(&self.email()?))
    }
}

/// Looks a subscription up; a merged one leads to the one that goes on.
pub(crate) async fn find(
    database: impl PgExecutor<'_>,
    id: SubscriptionId,
) -> sqlx::Result<Option<Subscription>> {
    let row = sqlx::query!(
        r#"
        WITH RECURSIVE chain AS (
            SELECT id, merged_into FROM subscriptions WHERE id = $1
            UNION SELECT next.id, next.merged_into FROM chain JOIN subscriptions AS next ON next.id = chain.merged_into
        )
        SELECT subscriptions.id, sku, products.name AS "name?", email, quantity, state, confirmed_round,
               COALESCE(consent = $2, false) AS "by_order!"
        FROM chain JOIN subscriptions USING (id) LEFT JOIN products USING (sku)
        WHERE chain.merged_into IS NULL
        "#,
        id.uuid(),
        Consent::Order.as_str(),
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Subscription {
        id: row.id,
        sku: row.sku,
        name: row.name,
        email: row.email,
        quantity: row.quantity,
        status: row.state.parse().map_err(undecodable)?,
        confirmed_round: row.confirmed_round,
        by_order: row.by_order,
    }))
}

/// Whether the address is on the waitlist for the product, in whatever quantity.
pub(crate) async fn is_in_line(database: impl PgExecutor<'_>, request: &Request) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM waiting_line WHERE email = $1 AND sku = $2) AS "in_line!""#,
        request.email.expose(),
        request.sku.as_str(),
    )
    .fetch_one(database)
    .await
}

/// Counts the click on the link in a message, once.
pub(crate) async fn click(pool: &PgPool, claim: &ClaimHash) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "UPDATE subscriptions SET clicked_at = now() WHERE (claim = $1 OR former_claim = $1) AND clicked_at IS NULL",
        claim.as_str(),
    );
    query.execute(pool).await.map(drop)
}

/// Serializes the transactions that make an active subscription of this mailbox, ask for one, refuse the mails or erase the address.
pub(crate) async fn lock_mailbox(tx: &mut Tx, address: &EmailAddress) -> sqlx::Result<()> {
    let mailbox = address.mailbox();
    let query = sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", mailbox.expose());
    query.execute(&mut **tx).await.map(drop)
}

/// Locks the active subscription of this address and product.
pub(crate) async fn lock_active(tx: &mut Tx, request: &Request) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "SELECT FROM subscriptions WHERE email = $1 AND sku = $2 AND is_active(state) FOR UPDATE",
        request.email.expose(),
        request.sku.as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}

pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<()> {
    let query = sqlx::query!("SELECT FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids);
    query.execute(&mut **tx).await.map(drop)
}

/// Ends a subscription for its owner, and cancels its unsent messages.
pub(crate) async fn unsubscribe(tx: &mut Tx, id: SubscriptionId) -> sqlx::Result<()> {
    let Some(subscription) = find(&mut **tx, id).await? else { return Ok(()) };
    let ended = sqlx::query!(
        r#"
        UPDATE subscriptions
        SET state = $3, queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id))
        WHERE id = $1 AND state = ANY($2)
        "#,
        subscription.id,
        &Event::Unsubscribed.sources() as &[&str],
        Event::Unsubscribed.target().as_str(),
    )
    .execute(&mut **tx)
    .await?;
    if ended.rows_affected() > 0 { deliveries::cancel_unsent(tx, &[subscription.id]).await } else { Ok(()) }
}

/// Ends an active subscription in favour of another one of the same address, and cancels its unsent messages.
pub(crate) async fn merge(tx: &mut Tx, from: Uuid, into: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE subscriptions SET state = $4, merged_into = $2, queued_at = NULL, ended_at = now()
        WHERE id = $1 AND state = ANY($3)
        "#,
        from,
        into,
        &Event::Merged.sources() as &[&str],
        Event::Merged.target().as_str(),
    )
    .execute(&mut **tx)
    .await?;
    deliveries::cancel_unsent(tx, &[from]).await
}

/// Ends at most `limit` subscriptions whose time is over, cancels their unsent messages, and returns their number.
pub(crate) async fn expire(outbox: &Outbox, limit: i64) -> sqlx::Result<u64> {
    let mut tx = outbox.begin().await?;
    let expired = sqlx::query_scalar!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE expires_at <= now() AND state = ANY($2)
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions
        SET state = CASE WHEN bought.at IS NULL THEN $3 ELSE $4 END,
            bought_at = COALESCE(subscriptions.bought_at, bought.at), queued_at = NULL, ended_at = now()
        FROM over LEFT JOIN (
            SELECT subscription_id, min(bought_at) AS at FROM standing_purchases GROUP BY subscription_id
        ) AS bought ON bought.subscription_id = over.id
        WHERE subscriptions.id = over.id
        RETURNING subscriptions.id
        "#,
        limit,
        &Event::Expired.sources() as &[&str],
        Event::Expired.target().as_str(),
        Event::ExpiredAfterPurchase.target().as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    deliveries::cancel_unsent(&mut tx, &expired).await?;
    tx.commit().await?;
    Ok(expired.len() as u64)
}

/// Forgets the addresses of at most `limit` subscriptions that ended 90 days ago, and returns their number. Until then their
/// deliveries can be looked up.
pub(crate) async fn forget_addresses(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE ended_at <= now() - interval '90 days' AND email IS NOT NULL
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions SET email = NULL, mailbox = NULL FROM over WHERE subscriptions.id = over.id
        "#,
        limit,
    );
    Ok(forgotten.execute(pool).await?.rows_affected())
}

/// Puts a subscriber whom a failed message took off the list back to the old place; `false` when the subscription ended
/// otherwise, its time is over, or the same address has subscribed again.
pub(crate) async fn restore_place(tx: &mut Tx, id: SubscriptionId) -> sqlx::Result<bool> {
    let restored = sqlx::query!(
        r#"
        UPDATE subscriptions SET state = $3, queued_at = NULL, ended_at = NULL
        WHERE id = $1 AND state = ANY($2) AND expires_at > now() AND email IS NOT NULL AND activated_at IS NOT NULL
          AND NOT EXISTS (
              SELECT FROM subscriptions AS other
              WHERE other.email = subscriptions.email AND other.sku = subscriptions.sku
                AND (is_active(other.state) OR other.created_at > subscriptions.ended_at))
        "#,
        id.uuid(),
        &Event::Resent.sources() as &[&str],
        Event::Resent.target().as_str(),
    );
    Ok(restored.execute(&mut **tx).await?.rows_affected() > 0)
}

/// Whether a confirmation mail for this subscription can still be answered.
pub(crate) async fn can_be_confirmed(tx: &mut Tx, id: SubscriptionId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM subscriptions WHERE id = $1 AND email IS NOT NULL AND is_active(state)) AS "can_be_confirmed!"
        "#,
        id.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// A quantity as its column stores it.
pub(crate) fn quantity(quantity: Quantity) -> i32 {
    i32::try_from(quantity.get()).unwrap_or(i32::MAX)
}
