//! Subscriptions in the database: asked for, confirmed, ended. Locks are taken in the order stock, address, subscription,
//! delivery, here and everywhere. All times are by the clock of the database, which also compares them.

use broker::{Cause, Tx};
use events::values::{EmailAddress, OrderId, Quantity, Sku, SubscriptionId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::confirmed::Confirmed;
use super::standing::standing;
use super::tokens::{Mailbox, Tokens};
use super::{questions, refusals, stock};

/// How long the first link can be used.
pub(crate) const CONFIRM_WITHIN: Duration = Duration::hours(48);
/// How long someone waits, at most.
pub(crate) const WAITS: Duration = Duration::days(180);

/// How consent was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// By the link in a mail that the address asked for.
    DoubleOptIn,
    /// With an order.
    Order,
    /// By a link in a mail about something else.
    Link,
}

impl Consent {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DoubleOptIn => "double_opt_in",
            Self::Order => "order",
            Self::Link => "link",
        }
    }
}

/// A wish, as somebody types it.
#[derive(Debug)]
pub(crate) struct Wish {
    pub email: EmailAddress,
    pub sku: Sku,
    pub quantity: Quantity,
}

/// A question that is to be put to an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub subscription: SubscriptionId,
    pub round: i32,
}

/// Two transactions that make an active subscription of the same mailbox and product, or ask it, do so one after the
/// other.
pub(crate) async fn lock_mailbox(tx: &mut Tx, address: &EmailAddress, sku: &str) -> sqlx::Result<()> {
    let mailbox = address.mailbox();
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))", sku, mailbox.expose())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes a wish and returns the question to put; `None`: what it wants is confirmed already, and not bought since; the
/// address has refused it; or a question is open, and it is too soon for another one.
pub(crate) async fn ask(
    tx: &mut Tx,
    tokens: &Tokens,
    wish: &Wish,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Question>> {
    let (mailbox, sku) = (tokens.mailbox(&wish.email), wish.sku.as_str());
    lock_mailbox(tx, &wish.email, sku).await?;
    let refused = refusals::of(&mut **tx, &mailbox, sku).await?.any();
    if refused || is_confirmed(tx, wish).await? || !questions::may_ask(tx, &mailbox, sku).await? {
        return Ok(None);
    }
    let id = SubscriptionId::new(now);
    let claim = tokens.claim_hash(id);
    let row = sqlx::query!(
        r#"
        INSERT INTO subscriptions (id, sku, email, mailbox, quantity, state, asked_round, created_at, expires_at, claim,
                                   told_restocks)
        VALUES ($1, $2, $3, $7, $4, 'pending', 1, now(), now() + make_interval(secs => $5), $6,
                (SELECT max(told_restocks) FROM subscriptions WHERE email = $3 AND sku = $2))
        ON CONFLICT (email, sku) WHERE state IN ('pending', 'waiting') DO UPDATE
        SET asked_round = subscriptions.asked_round + 1, mailbox = excluded.mailbox,
            expires_at = CASE subscriptions.state WHEN 'pending' THEN excluded.expires_at ELSE subscriptions.expires_at END
        RETURNING id, asked_round
        "#,
        id.uuid(),
        wish.sku.as_str(),
        wish.email.expose(),
        quantity(wish.quantity),
        CONFIRM_WITHIN.as_seconds_f64(),
        claim.as_str(),
        mailbox.bytes(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some(Question { subscription: row.id.into(), round: row.asked_round }))
}

/// Whether the address waits for just this by its owner's own word, and has not bought it since.
async fn is_confirmed(tx: &mut Tx, wish: &Wish) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM subscriptions
            WHERE email = $1 AND sku = $2 AND state = 'waiting' AND quantity = $3 AND consent <> $4
              AND NOT EXISTS (
                  SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id)) AS "confirmed!"
        "#,
        wish.email.expose(),
        wish.sku.as_str(),
        quantity(wish.quantity),
        Consent::Order.name(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// Whose wish it is to be told without a further question: who reads the address's mail has said so.
#[derive(Debug)]
pub(crate) struct Consented {
    pub wish: Wish,
    pub order: Option<OrderId>,
    pub consent: Consent,
}

/// Makes a subscription that waits at once; one that is there already goes on as it is, or is confirmed by this.
pub(crate) async fn join(
    tx: &mut Tx,
    tokens: &Tokens,
    joined: &Consented,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let Consented { wish, order, consent } = joined;
    stock::look_again(tx, &[wish.sku.as_str()]).await?;
    let mailbox = tokens.mailbox(&wish.email);
    lock_mailbox(tx, &wish.email, wish.sku.as_str()).await?;
    settle_with(tx, &mailbox, wish.sku.as_str()).await?;
    let id = SubscriptionId::new(now);
    let claim = tokens.claim_hash(id);
    // An order that has a subscription for this product already has used its offer up.
    let row = sqlx::query_as!(
        Confirmed,
        r#"
        INSERT INTO subscriptions (id, sku, email, mailbox, order_id, quantity, state, consent, consented_at, created_at,
                                   activated_at, expires_at, claim, version, told_restocks)
        SELECT $1, $2, $3, $9, $4, $5, 'waiting', $6, now(), now(), now(), now() + make_interval(secs => $7), $8, 1,
               (SELECT max(told_restocks) FROM subscriptions WHERE email = $3 AND sku = $2)
        WHERE NOT EXISTS (SELECT FROM subscriptions WHERE order_id = $4 AND sku = $2)
        ON CONFLICT (email, sku) WHERE state IN ('pending', 'waiting') DO UPDATE
        SET state = 'waiting', quantity = excluded.quantity, consent = excluded.consent, mailbox = excluded.mailbox,
            consented_at = excluded.consented_at, expires_at = excluded.expires_at, version = subscriptions.version + 1,
            activated_at = COALESCE(subscriptions.activated_at, excluded.activated_at), arrival = excluded.arrival
        WHERE subscriptions.state = 'pending' OR subscriptions.consent = 'order' OR EXISTS (
            SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id)
        RETURNING id, sku, quantity, order_id, version
        "#,
        id.uuid(),
        wish.sku.as_str(),
        wish.email.expose(),
        order.map(OrderId::uuid),
        quantity(wish.quantity),
        consent.name(),
        WAITS.as_seconds_f64(),
        claim.as_str(),
        mailbox.bytes(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map_or(Ok(()), |row| row.announce(tx, Cause::default()))
}

/// The mailbox's owner wants to be told of this: what was refused of it is taken back, and no question is open any more.
async fn settle_with(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    refusals::want(tx, mailbox, sku).await?;
    questions::answered(tx, mailbox, sku).await
}

/// An answer to a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub subscription: SubscriptionId,
    pub round: i32,
    pub quantity: Quantity,
}

/// Applies an answer; given again, or to a question that was followed by an answered one, it changes nothing.
pub(crate) async fn confirm(tx: &mut Tx, tokens: &Tokens, cause: Cause, answer: Answer) -> sqlx::Result<()> {
    let Some(standing) = standing(&mut **tx, answer.subscription).await? else { return Ok(()) };
    stock::look_again(tx, &[&standing.sku]).await?;
    // A question put for a subscription that was merged into another confirms that one, and asks no more of it.
    let round = if standing.id == answer.subscription.uuid() { answer.round } else { 0 };
    let row = sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET state = 'waiting', quantity = $3, confirmed_round = GREATEST(confirmed_round, $2),
            consent = $5, consented_at = now(), activated_at = COALESCE(activated_at, now()),
            expires_at = now() + make_interval(secs => $4), version = version + 1, arrival = nextval('arrivals')
        WHERE id = $1 AND (state = 'pending' OR (state = 'waiting' AND (confirmed_round < $2 OR consent = 'order')))
        RETURNING id, sku, quantity, order_id, version
        "#,
        standing.id,
        round,
        quantity(answer.quantity),
        WAITS.as_seconds_f64(),
        Consent::DoubleOptIn.name(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    if let Some(mailbox) = standing.mailbox(tokens) {
        questions::answered(tx, &mailbox, &standing.sku).await?;
    }
    row.announce(tx, cause)
}

/// Ends a subscription at its owner's wish, whatever has become of it; what is on its way is called back.
pub(crate) async fn unsubscribe(tx: &mut Tx, id: SubscriptionId) -> sqlx::Result<()> {
    let Some(standing) = standing(&mut **tx, id).await? else { return Ok(()) };
    let ended = sqlx::query!(
        r#"
        UPDATE subscriptions
        SET state = 'unsubscribed', queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id))
        WHERE id = $1 AND state IN ('pending', 'waiting', 'notified', 'lapsed')
        "#,
        standing.id,
    )
    .execute(&mut **tx)
    .await?;
    if ended.rows_affected() > 0 { call_back(tx, &[standing.id]).await } else { Ok(()) }
}

/// Ends an active subscription in favour of another one of the same address; what is on its way for it is called back.
pub(crate) async fn merge(tx: &mut Tx, from: Uuid, into: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE subscriptions SET state = 'merged', merged_into = $2, queued_at = NULL, ended_at = now()
        WHERE id = $1 AND state IN ('pending', 'waiting')
        "#,
        from,
        into,
    )
    .execute(&mut **tx)
    .await?;
    call_back(tx, &[from]).await
}

/// Deletes what is still on its way to these subscriptions; a message that a worker holds at this moment may go out. One
/// that was published as failed, and was to be sent again, has failed for good instead: what is published has its row.
pub(crate) async fn call_back(tx: &mut Tx, subscriptions: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH armed AS (
            UPDATE deliveries SET status = 'failed', finished_at = now(), next_at = NULL, token = NULL, leased_until = NULL
            WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version > 0
        )
        DELETE FROM deliveries WHERE subscription_id = ANY($1) AND finished_at IS NULL AND version = 0
        "#,
        subscriptions
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A quantity as its column keeps it.
pub(crate) fn quantity(quantity: Quantity) -> i32 {
    i32::try_from(quantity.get()).unwrap_or(i32::MAX)
}
