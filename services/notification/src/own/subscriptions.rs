//! Rolls subscriptions forward to their published events, and those of their deliveries.

use std::collections::{BTreeMap, HashMap};

use broker::Tx;
use envelope::Sequence;
use events::values::{OrderId, Quantity, Sku, SubscriptionId};
use events::{SubscriptionConfirmed, SubscriptionConverted};
use time::OffsetDateTime;
use uuid::Uuid;

use super::deliveries::Finished;
use crate::domain::subscription::{Consent, Event, MAX_WAIT, Status};
use crate::domain::tokens::Tokens;
use crate::store::subscriptions::quantity;
use crate::store::{column, deliveries, sequence, undecodable};

/// The content of a batch's events about a subscription.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    sku: Sku,
    /// The time of the first event.
    at: OffsetDateTime,
    version: Sequence,
    quantity: Option<Quantity>,
    order: Option<OrderId>,
    confirmed_at: Option<OffsetDateTime>,
    notified_at: Option<OffsetDateTime>,
    notified_restocks: Option<i64>,
    undeliverable_at: Option<OffsetDateTime>,
    converted_at: Option<OffsetDateTime>,
    converted_by: Option<OrderId>,
    units: Option<i64>,
}

impl Facts {
    pub(super) fn of(sku: Sku, at: OffsetDateTime) -> Self {
        Self {
            sku,
            at,
            version: Sequence::NONE,
            quantity: None,
            order: None,
            confirmed_at: None,
            notified_at: None,
            notified_restocks: None,
            undeliverable_at: None,
            converted_at: None,
            converted_by: None,
            units: None,
        }
    }

    /// Applies `subscription.confirmed.v1`.
    pub(super) fn confirmed(
        &mut self,
        event: &SubscriptionConfirmed,
        sequence: Sequence,
        at: OffsetDateTime,
    ) {
        self.version = self.version.max(sequence);
        self.quantity = Some(event.quantity);
        self.order = event.order_id;
        self.confirmed_at = Some(at);
    }

    /// Applies `subscription.converted.v1`.
    pub(super) fn converted(
        &mut self,
        event: &SubscriptionConverted,
        sequence: Sequence,
        at: OffsetDateTime,
    ) {
        self.version = self.version.max(sequence);
        self.converted_at = Some(at);
        self.converted_by = Some(event.order_id);
        self.units = Some(event.units);
    }

    /// Applies the result of a "back in stock" message on the primary channel.
    pub(super) fn finished(&mut self, finished: &Finished) {
        let Some(restocks) = finished.restocks else { return };
        if finished.cause.is_some() {
            self.undeliverable_at = Some(finished.at);
        } else {
            self.notified_at = Some(finished.at);
            self.notified_restocks = self.notified_restocks.max(Some(restocks));
        }
    }

    /// The status after the events. One that has ended otherwise stays ended.
    pub(super) fn status_after(&self, known: Status) -> Status {
        let of_message = [
            self.notified_at.map(|_| Event::Notified),
            self.undeliverable_at.map(|_| Event::Undeliverable),
            self.converted_at.map(|_| Event::Converted),
        ];
        let of_message = of_message.into_iter().flatten();
        // Only a confirmed subscription got a message, whether or not this batch has the confirmation.
        let is_confirmed = self.confirmed_at.is_some() || of_message.clone().next().is_some();
        let events = is_confirmed.then_some(Event::Confirmed).into_iter().chain(of_message);
        events.fold(known, |status, event| status.on(event).unwrap_or(status))
    }
}

/// Locks these subscriptions and returns their versions; those that do not exist are absent.
pub(super) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<BTreeMap<SubscriptionId, Sequence>> {
    let rows =
        sqlx::query!("SELECT id, version FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), sequence(row.version))).collect())
}

/// Inserts the subscriptions that the database does not have, and returns how many of them have lost their address for good. One
/// made by an order waits: the order's customer is found when `orders` and `customers` are read again.
pub(super) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    facts: &BTreeMap<SubscriptionId, Facts>,
) -> sqlx::Result<usize> {
    if facts.is_empty() {
        return Ok(0);
    }
    let inserted = sqlx::query_scalar!(
        r#"
        INSERT INTO subscriptions (id, sku, order_id, quantity, claim, created_at, expires_at, state, consent,
                                   consented_at, activated_at, ended_at)
        SELECT id, fact.sku, fact.order_id, fact.quantity, fact.claim, at, at + make_interval(secs => $7),
               CASE WHEN waits THEN $9 ELSE $10 END, CASE WHEN waits THEN $8 END,
               CASE WHEN waits THEN at END, CASE WHEN waits THEN at END, CASE WHEN NOT waits THEN at END
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::integer[], $5::text[], $6::timestamptz[])
             AS fact (id, sku, order_id, quantity, claim, at),
             LATERAL (SELECT fact.order_id IS NOT NULL AS waits) AS request
        WHERE NOT EXISTS (SELECT FROM subscriptions AS known WHERE known.id = fact.id)
        ORDER BY id
        ON CONFLICT DO NOTHING
        RETURNING order_id IS NULL AS "lost!"
        "#,
        &column(facts, |(id, _)| id.uuid()),
        &column(facts, |(_, row)| row.sku.as_str()) as &[&str],
        &column(facts, |(_, row)| row.order.map(OrderId::uuid)) as &[Option<Uuid>],
        &column(facts, |(_, row)| row.quantity.map_or(1, quantity)),
        &column(facts, |(id, _)| String::from(tokens.claim_hash(*id))),
        &column(facts, |(_, row)| row.at),
        MAX_WAIT.as_seconds_f64(),
        Consent::Order.as_str(),
        Status::Waiting.as_str(),
        Status::Lapsed.as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(inserted.into_iter().filter(|lost| *lost).count())
}

/// Locks subscriptions and returns their statuses.
async fn statuses(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<HashMap<SubscriptionId, Status>> {
    let rows =
        sqlx::query!("SELECT id, state FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
            .fetch_all(&mut **tx)
            .await?;
    let statuses = rows.into_iter().map(|row| Ok((row.id.into(), row.state.parse().map_err(undecodable)?)));
    statuses.collect()
}

/// Writes what the events say of the subscriptions that the database has.
pub(super) async fn apply(tx: &mut Tx, facts: &BTreeMap<SubscriptionId, Facts>) -> sqlx::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let known = statuses(tx, &column(facts, |(id, _)| id.uuid())).await?;
    let facts: Vec<(SubscriptionId, &Facts, Status)> = facts
        .iter()
        .filter_map(|(id, facts)| Some((*id, facts, facts.status_after(*known.get(id)?))))
        .collect();
    write(tx, &facts).await?;
    let converted = facts.iter().filter(|(_, facts, _)| facts.converted_at.is_some());
    let converted: Vec<Uuid> = converted.map(|(id, ..)| id.uuid()).collect();
    deliveries::cancel_unsent(tx, &converted).await
}

async fn write(tx: &mut Tx, facts: &[(SubscriptionId, &Facts, Status)]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE subscriptions AS known
        SET version = GREATEST(known.version, fact.version),
            quantity = COALESCE(fact.quantity, known.quantity),
            state = fact.state,
            consent = CASE WHEN fact.state = $13 THEN COALESCE(known.consent, $12) ELSE known.consent END,
            consented_at = CASE WHEN fact.state = $13 THEN COALESCE(known.consented_at, fact.confirmed_at)
                                ELSE known.consented_at END,
            activated_at = COALESCE(known.activated_at, fact.confirmed_at),
            -- The consent is newer than all purchases in the copy.
            arrival = CASE WHEN fact.confirmed_at IS NULL THEN known.arrival ELSE nextval('arrivals') END,
            confirmed_round = CASE WHEN fact.confirmed_at IS NULL THEN known.confirmed_round ELSE known.asked_round END,
            expires_at = GREATEST(known.expires_at, fact.confirmed_at + make_interval(secs => $11)),
            queued_at = CASE WHEN fact.state = $13 THEN known.queued_at END,
            told_restocks = GREATEST(known.told_restocks, fact.restocks),
            notified_at = COALESCE(known.notified_at, fact.notified_at, fact.converted_at),
            converted_at = COALESCE(known.converted_at, fact.converted_at),
            converted_by = COALESCE(known.converted_by, fact.converted_by),
            units = COALESCE(known.units, fact.units),
            ended_at = COALESCE(known.ended_at, fact.converted_at,
                                CASE WHEN fact.state = $14 THEN fact.undeliverable_at END)
        FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                    $7::timestamptz[], $8::timestamptz[], $9::uuid[], $10::bigint[], $15::text[])
             AS fact (id, version, quantity, confirmed_at, notified_at, restocks, undeliverable_at, converted_at,
                      converted_by, units, state)
        WHERE known.id = fact.id
        "#,
        &column(facts, |(id, ..)| id.uuid()),
        &column(facts, |(_, row, _)| row.version.to_i64()),
        &column(facts, |(_, row, _)| row.quantity.map(quantity)) as &[Option<i32>],
        &column(facts, |(_, row, _)| row.confirmed_at) as &[Option<OffsetDateTime>],
        &column(facts, |(_, row, _)| row.notified_at) as &[Option<OffsetDateTime>],
        &column(facts, |(_, row, _)| row.notified_restocks) as &[Option<i64>],
        &column(facts, |(_, row, _)| row.undeliverable_at) as &[Option<OffsetDateTime>],
        &column(facts, |(_, row, _)| row.converted_at) as &[Option<OffsetDateTime>],
        &column(facts, |(_, row, _)| row.converted_by.map(OrderId::uuid)) as &[Option<Uuid>],
        &column(facts, |(_, row, _)| row.units) as &[Option<i64>],
        MAX_WAIT.as_seconds_f64(),
        Consent::DoubleOptIn.as_str(),
        Status::Waiting.as_str(),
        Status::Lapsed.as_str(),
        &column(facts, |(_, _, status)| status.as_str()) as &[&str],
    );
    query.execute(&mut **tx).await.map(drop)
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn facts() -> Facts {
        Facts::of("MUG".parse().unwrap(), NOW)
    }

    #[test]
    fn the_events_lead_to_the_status_that_was_published() {
        let confirmed = Facts { confirmed_at: Some(NOW), ..facts() };
        let notified = Facts { notified_at: Some(NOW), undeliverable_at: Some(NOW), ..facts() };
        let undeliverable = Facts { undeliverable_at: Some(NOW), ..facts() };
        let converted = Facts { converted_at: Some(NOW), ..facts() };
        for known in [Status::Pending, Status::Waiting] {
            assert_eq!(facts().status_after(known), known);
            assert_eq!(confirmed.status_after(known), Status::Waiting);
            assert_eq!(notified.status_after(known), Status::Notified);
            assert_eq!(undeliverable.status_after(known), Status::Lapsed);
            assert_eq!(converted.status_after(known), Status::Converted);
        }
    }

    #[test]
    fn a_subscription_that_has_ended_is_only_ever_converted() {
        let all = Facts { confirmed_at: Some(NOW), undeliverable_at: Some(NOW), ..facts() };
        let converted = Facts { converted_at: Some(NOW), ..all.clone() };
        for known in Status::VARIANTS.iter().copied().filter(|status| !status.is_active()) {
            assert_eq!(all.status_after(known), known);
            let is_final = matches!(known, Status::Erased | Status::Merged);
            let expected = if is_final { known } else { Status::Converted };
            assert_eq!(converted.status_after(known), expected);
        }
    }
}
