//! Subscriptions as their published events, and those of their deliveries, have them.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{OrderId, Quantity, Sku, SubscriptionId};
use events::{SubscriptionConfirmed, SubscriptionConverted};
use time::OffsetDateTime;
use uuid::Uuid;

use super::deliveries::Told;
use crate::notify_me::subscriptions::{Consent, WAITS, call_back, quantity};
use crate::notify_me::tokens::Tokens;

/// What a batch tells of a subscription.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    sku: Sku,
    /// When it was first told of.
    at: OffsetDateTime,
    version: Sequence,
    quantity: Option<Quantity>,
    order: Option<OrderId>,
    confirmed_at: Option<OffsetDateTime>,
    told_at: Option<OffsetDateTime>,
    told_restocks: Option<i64>,
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
            told_at: None,
            told_restocks: None,
            undeliverable_at: None,
            converted_at: None,
            converted_by: None,
            units: None,
        }
    }

    /// Somebody waits, or waits for another quantity.
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

    /// The mail became an order.
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

    /// The channel that counts has taken a "back in stock" message, or never will.
    pub(super) fn told(&mut self, told: &Told) {
        let Some(restocks) = told.restocks else { return };
        if told.cause.is_some() {
            self.undeliverable_at = Some(told.at);
        } else {
            self.told_at = Some(told.at);
            self.told_restocks = self.told_restocks.max(Some(restocks));
        }
    }

    #[cfg(test)]
    pub(super) fn is_told(&self) -> bool {
        self.told_at.is_some()
    }
}

/// The versions of these subscriptions, locked; those that do not exist are absent.
pub(super) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<BTreeMap<SubscriptionId, Sequence>> {
    let rows =
        sqlx::query!("SELECT id, version FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
            .fetch_all(&mut **tx)
            .await?;
    let version = |version| Sequence::from_i64(version).unwrap_or_default();
    Ok(rows.into_iter().map(|row| (row.id.into(), version(row.version))).collect())
}

/// Adds the subscriptions that the database does not have, and returns how many of them have lost their address for good.
/// One that an order asked for waits: the order's customer is found when `orders` and `customers` are read again.
pub(super) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    facts: &BTreeMap<SubscriptionId, Facts>,
) -> sqlx::Result<usize> {
    if facts.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = facts.keys().map(|id| id.uuid()).collect();
    let skus: Vec<&str> = facts.values().map(|facts| facts.sku.as_str()).collect();
    let orders: Vec<Option<Uuid>> = facts.values().map(|facts| facts.order.map(OrderId::uuid)).collect();
    let quantities: Vec<i32> = facts.values().map(|facts| facts.quantity.map_or(1, quantity)).collect();
    let times: Vec<OffsetDateTime> = facts.values().map(|facts| facts.at).collect();
    let claims: Vec<String> = facts.keys().map(|id| tokens.claim_hash(*id).into()).collect();
    let inserted = sqlx::query_scalar!(
        r#"
        INSERT INTO subscriptions (id, sku, order_id, quantity, claim, created_at, expires_at, state, consent,
                                   consented_at, activated_at, ended_at)
        SELECT id, told.sku, told.order_id, told.quantity, told.claim, at, at + make_interval(secs => $7),
               CASE WHEN waits THEN 'waiting' ELSE 'lapsed' END, CASE WHEN waits THEN $8 END,
               CASE WHEN waits THEN at END, CASE WHEN waits THEN at END, CASE WHEN NOT waits THEN at END
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::integer[], $5::text[], $6::timestamptz[])
             AS told (id, sku, order_id, quantity, claim, at),
             LATERAL (SELECT told.order_id IS NOT NULL AS waits) AS wish
        WHERE NOT EXISTS (SELECT FROM subscriptions AS known WHERE known.id = told.id)
        ORDER BY id
        ON CONFLICT DO NOTHING
        RETURNING state = 'lapsed' AS "lost!"
        "#,
        &ids,
        &skus as &[&str],
        &orders as &[Option<Uuid>],
        &quantities,
        &claims,
        &times,
        WAITS.as_seconds_f64(),
        Consent::Order.name(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(inserted.into_iter().filter(|lost| *lost).count())
}

/// Brings subscriptions to what is told of them. One that has ended otherwise stays ended.
pub(super) async fn apply(tx: &mut Tx, facts: &BTreeMap<SubscriptionId, Facts>) -> sqlx::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let column = |time: fn(&Facts) -> Option<OffsetDateTime>| facts.values().map(time).collect::<Vec<_>>();
    let ids: Vec<Uuid> = facts.keys().map(|id| id.uuid()).collect();
    let versions: Vec<i64> = facts.values().map(|facts| facts.version.to_i64()).collect();
    let quantities: Vec<Option<i32>> = facts.values().map(|facts| facts.quantity.map(quantity)).collect();
    let restocks: Vec<Option<i64>> = facts.values().map(|facts| facts.told_restocks).collect();
    let converted_by: Vec<Option<Uuid>> =
        facts.values().map(|facts| facts.converted_by.map(OrderId::uuid)).collect();
    let units: Vec<Option<i64>> = facts.values().map(|facts| facts.units).collect();
    sqlx::query!(
        r#"
        UPDATE subscriptions
        SET version = GREATEST(known.version, told.version),
            quantity = COALESCE(told.quantity, known.quantity),
            state = next.state,
            consent = CASE WHEN next.state = 'waiting' THEN COALESCE(known.consent, $12) ELSE known.consent END,
            consented_at = CASE WHEN next.state = 'waiting' THEN COALESCE(known.consented_at, told.confirmed_at)
                                ELSE known.consented_at END,
            activated_at = COALESCE(known.activated_at, told.confirmed_at),
            -- The consent is newer than all purchases that the copy knows.
            arrival = CASE WHEN told.confirmed_at IS NULL THEN known.arrival ELSE nextval('arrivals') END,
            confirmed_round = CASE WHEN told.confirmed_at IS NULL THEN known.confirmed_round ELSE known.asked_round END,
            expires_at = GREATEST(known.expires_at, told.confirmed_at + make_interval(secs => $11)),
            queued_at = CASE WHEN next.state = 'waiting' THEN known.queued_at END,
            told_restocks = GREATEST(known.told_restocks, told.told_restocks),
            notified_at = COALESCE(known.notified_at, told.told_at, told.converted_at),
            converted_at = COALESCE(known.converted_at, told.converted_at),
            converted_by = COALESCE(known.converted_by, told.converted_by),
            units = COALESCE(known.units, told.units),
            ended_at = COALESCE(known.ended_at, told.converted_at,
                                CASE WHEN next.state = 'lapsed' THEN told.undeliverable_at END)
        FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                    $7::timestamptz[], $8::timestamptz[], $9::uuid[], $10::bigint[])
             AS told (id, version, quantity, confirmed_at, told_at, told_restocks, undeliverable_at, converted_at,
                      converted_by, units)
        JOIN subscriptions AS known ON known.id = told.id
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN known.state IN ('merged', 'erased') THEN known.state
                WHEN told.converted_at IS NOT NULL THEN 'converted'
                WHEN known.state NOT IN ('pending', 'waiting') THEN known.state
                WHEN told.told_at IS NOT NULL THEN 'notified'
                WHEN told.undeliverable_at IS NOT NULL THEN 'lapsed'
                WHEN told.confirmed_at IS NOT NULL THEN 'waiting'
                ELSE known.state END AS state) AS next
        WHERE subscriptions.id = told.id
        "#,
        &ids,
        &versions,
        &quantities as &[Option<i32>],
        &column(|facts| facts.confirmed_at) as &[Option<OffsetDateTime>],
        &column(|facts| facts.told_at) as &[Option<OffsetDateTime>],
        &restocks as &[Option<i64>],
        &column(|facts| facts.undeliverable_at) as &[Option<OffsetDateTime>],
        &column(|facts| facts.converted_at) as &[Option<OffsetDateTime>],
        &converted_by as &[Option<Uuid>],
        &units as &[Option<i64>],
        WAITS.as_seconds_f64(),
        Consent::DoubleOptIn.name(),
    )
    .execute(&mut **tx)
    .await?;
    let converted = facts.iter().filter(|(_, facts)| facts.converted_at.is_some());
    let converted: Vec<Uuid> = converted.map(|(id, _)| id.uuid()).collect();
    if converted.is_empty() { Ok(()) } else { call_back(tx, &converted).await }
}
