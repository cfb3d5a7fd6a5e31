//! How a subscription begins: requested by anybody, confirmed by the owner of the address.

use broker::{Cause, Tx};
use envelope::Event as _;
use events::values::{OrderId, Quantity, SubscriptionId};
use events::{NotificationEvent, SubscriptionConfirmed};
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::{Request, find, lock_active, lock_mailbox, quantity};
use super::{append, confirmations, refusals, stock, undecodable};
use crate::domain::subscription::{CONFIRM_WITHIN, Consent, Event, MAX_WAIT, Status};
use crate::domain::tokens::Tokens;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfirmationMail {
    pub subscription: SubscriptionId,
    /// Its number for the subscription, from 1.
    pub round: i32,
    /// The end of the time in which its link works.
    pub until: OffsetDateTime,
}

/// Stores a request and returns the confirmation mail to send. `None`: the request is confirmed already, and the product not
/// bought since; the address has refused such mails; or the last mail is not answered, and the next one must wait.
pub(crate) async fn ask(
    tx: &mut Tx,
    tokens: &Tokens,
    request: &Request,
    now: OffsetDateTime,
) -> sqlx::Result<Option<ConfirmationMail>> {
    let (mailbox, sku) = (tokens.mailbox(&request.email), request.sku.as_str());
    lock_mailbox(tx, &request.email).await?;
    let refused = refusals::of(&mut **tx, &mailbox, sku).await?.any();
    if refused || is_confirmed(tx, request).await? {
        return Ok(None);
    }
    lock_active(tx, request).await?;
    let Some(until) = confirmations::may_ask(tx, &mailbox, sku).await? else { return Ok(None) };
    let id = SubscriptionId::new(now);
    let claim = tokens.claim_hash(id);
    let row = sqlx::query!(
        r#"
        INSERT INTO subscriptions (id, sku, email, mailbox, quantity, state, asked_round, created_at, expires_at, claim,
                                   told_restocks)
        VALUES ($1, $2, $3, $7, $4, $8, 1, now(), now() + make_interval(secs => $5), $6,
                (SELECT max(told_restocks) FROM subscriptions WHERE email = $3 AND sku = $2))
        ON CONFLICT (email, sku) WHERE is_active(state) DO UPDATE
        SET asked_round = subscriptions.asked_round + 1, mailbox = excluded.mailbox,
            expires_at = CASE subscriptions.state WHEN $8 THEN excluded.expires_at ELSE subscriptions.expires_at END
        RETURNING id, asked_round
        "#,
        id.uuid(),
        sku,
        request.email.expose(),
        quantity(request.quantity),
        CONFIRM_WITHIN.as_seconds_f64(),
        claim.as_str(),
        mailbox.bytes(),
        Status::Pending.as_str(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some(ConfirmationMail { subscription: row.id.into(), round: row.asked_round, until }))
}

/// Whether the address is on the waitlist for just this, confirmed by its owner.
async fn is_confirmed(tx: &mut Tx, request: &Request) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM waiting_line WHERE email = $1 AND sku = $2 AND quantity = $3 AND NOT by_order) AS "confirmed!"
        "#,
        request.email.expose(),
        request.sku.as_str(),
        quantity(request.quantity),
    )
    .fetch_one(&mut **tx)
    .await
}

/// A request with its consent, given by the reader of the address's mail.
#[derive(Debug)]
pub(crate) struct ConsentedRequest {
    pub request: Request,
    /// The order whose message offered it.
    pub order: Option<OrderId>,
    pub consent: Consent,
}

/// Locks what [`join`] changes. Only afterwards is it certain that the address is not being erased.
pub(crate) async fn lock(tx: &mut Tx, request: &Request) -> sqlx::Result<()> {
    stock::make_wave_due(tx, &[request.sku.as_str()]).await?;
    lock_mailbox(tx, &request.email).await
}

/// Makes a subscription that is on the waitlist at once; an active one goes on as it is, or is confirmed by this.
pub(crate) async fn join(
    tx: &mut Tx,
    tokens: &Tokens,
    cause: Cause,
    consented: &ConsentedRequest,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let ConsentedRequest { request, order, consent } = consented;
    let (mailbox, sku) = (tokens.mailbox(&request.email), request.sku.as_str());
    // The owner of the mailbox wants these mails.
    refusals::lift_product(tx, &mailbox, sku).await?;
    let id = SubscriptionId::new(now);
    let claim = tokens.claim_hash(id);
    // An order that has a subscription for this product already has used its offer up.
    let row = sqlx::query_as!(
        Confirmed,
        r#"
        INSERT INTO subscriptions (id, sku, email, mailbox, order_id, quantity, state, consent, consented_at, created_at,
                                   activated_at, expires_at, claim, version, told_restocks)
        SELECT $1, $2, $3, $9, $4, $5, $10, $6, now(), now(), now(), now() + make_interval(secs => $7), $8, 1,
               (SELECT max(told_restocks) FROM subscriptions WHERE email = $3 AND sku = $2)
        WHERE NOT EXISTS (SELECT FROM subscriptions WHERE order_id = $4 AND sku = $2)
        ON CONFLICT (email, sku) WHERE is_active(state) DO UPDATE
        SET state = excluded.state, quantity = excluded.quantity, consent = excluded.consent, mailbox = excluded.mailbox,
            consented_at = excluded.consented_at, expires_at = excluded.expires_at, version = subscriptions.version + 1,
            activated_at = COALESCE(subscriptions.activated_at, excluded.activated_at), arrival = excluded.arrival
        WHERE subscriptions.state <> excluded.state OR subscriptions.consent = $11 OR EXISTS (
            SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id)
        RETURNING id, sku, quantity, order_id, version
        "#,
        id.uuid(),
        sku,
        request.email.expose(),
        order.map(OrderId::uuid),
        quantity(request.quantity),
        consent.as_str(),
        MAX_WAIT.as_seconds_f64(),
        claim.as_str(),
        mailbox.bytes(),
        Event::Confirmed.target().as_str(),
        Consent::Order.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    confirmations::answered(tx, &mailbox, sku).await?;
    row.map_or(Ok(()), |row| row.announce(tx, cause))
}

/// The answer to a confirmation mail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub subscription: SubscriptionId,
    pub round: i32,
    pub quantity: Quantity,
}

/// Applies an answer. A repeated answer, and one that is older than the last, change nothing.
pub(crate) async fn confirm(tx: &mut Tx, tokens: &Tokens, cause: Cause, answer: Answer) -> sqlx::Result<()> {
    let Some(subscription) = find(&mut **tx, answer.subscription).await? else { return Ok(()) };
    stock::make_wave_due(tx, &[&subscription.sku]).await?;
    if let Some(email) = subscription.email() {
        lock_mailbox(tx, &email).await?;
    }
    // In a restored database `asked_round` may be older than the mail.
    // A mail for a subscription that was merged into another confirms that one, without counting as one of its rounds.
    let round = if subscription.id == answer.subscription.uuid() { answer.round } else { 0 };
    let row = sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET state = $7, quantity = $3, confirmed_round = GREATEST(confirmed_round, $2), asked_round = GREATEST(asked_round, $2),
            consent = $5, consented_at = now(), activated_at = COALESCE(activated_at, now()),
            expires_at = now() + make_interval(secs => $4), version = version + 1, arrival = nextval('arrivals')
        WHERE id = $1 AND state = ANY($6) AND (state <> $7 OR confirmed_round < $2 OR consent = $8)
        RETURNING id, sku, quantity, order_id, version
        "#,
        subscription.id,
        round,
        quantity(answer.quantity),
        MAX_WAIT.as_seconds_f64(),
        Consent::DoubleOptIn.as_str(),
        &Event::Confirmed.sources() as &[&str],
        Event::Confirmed.target().as_str(),
        Consent::Order.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    if let Some(mailbox) = subscription.mailbox(tokens) {
        confirmations::answered(tx, &mailbox, &subscription.sku).await?;
    }
    row.announce(tx, cause)
}

/// The row of a subscription that has just joined the waitlist, or changed its quantity.
pub(crate) struct Confirmed {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i32,
    pub order_id: Option<Uuid>,
    pub version: i64,
}

impl Confirmed {
    /// Appends `subscription.confirmed.v1`, and logs it after the commit.
    pub(crate) fn announce(&self, tx: &mut Tx, cause: Cause) -> sqlx::Result<()> {
        let confirmed = SubscriptionConfirmed {
            subscription_id: self.id.into(),
            sku: self.sku.parse().map_err(undecodable)?,
            quantity: i64::from(self.quantity).try_into().map_err(undecodable)?,
            order_id: self.order_id.map(OrderId::from),
        };
        let traceparent = cause.traceparent.clone();
        let SubscriptionConfirmed { subscription_id, sku, quantity, .. } = confirmed.clone();
        let event = NotificationEvent::SubscriptionConfirmed(confirmed);
        let (event_type, quantity) = (event.ce_type(), quantity.get());
        append(tx, cause, self.version, &event)?;
        tx.on_commit(move || {
            tracing::info!(%sku, quantity, %subscription_id, event_type, traceparent, "subscription confirmed");
        });
        Ok(())
    }
}
