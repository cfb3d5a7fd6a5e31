//! Subscriptions made by sold-out orders. The address may not be known yet: such a subscription belongs to the order's customer
//! until the contact arrives, and `waitlist::addressing` then decides what becomes of it.

use std::collections::BTreeMap;

use broker::Tx;
use events::values::{CustomerId, EmailAddress, OrderId, Quantity, Sku, SubscriptionId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::consent::Confirmed;
use super::subscriptions::{self, quantity};
use super::{column, undecodable};
use crate::domain::subscription::{CONFIRM_WITHIN, Consent, Event, MAX_WAIT, Status};
use crate::domain::tokens::{Mailbox, Tokens};

/// The subscription for a short line whose customer asked for one.
#[derive(Debug, Clone)]
pub(crate) struct ByOrder {
    pub id: SubscriptionId,
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub quantity: Quantity,
}

/// The subscriptions that orders have already: a restored database has them from the log, with the ids that were published.
pub(crate) type Known = BTreeMap<(OrderId, Sku), SubscriptionId>;

pub(crate) async fn known(tx: &mut Tx, orders: &[Uuid]) -> sqlx::Result<Known> {
    if orders.is_empty() {
        return Ok(Known::new());
    }
    let rows = sqlx::query!(
        r#"SELECT id, order_id AS "order_id!", sku FROM subscriptions WHERE order_id = ANY($1)"#,
        orders,
    );
    let rows = rows.fetch_all(&mut **tx).await?.into_iter();
    Ok(rows.filter_map(|row| Some(((row.order_id.into(), row.sku.parse().ok()?), row.id.into()))).collect())
}

/// Inserts the new ones: on the waitlist at once where an order's consent is trusted, else pending until the address has confirmed.
pub(crate) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    mut requested: Vec<&ByOrder>,
    trusted: bool,
) -> sqlx::Result<()> {
    requested.sort_by(|a, b| (a.order, &a.sku).cmp(&(b.order, &b.sku)));
    let (status, expires_after) =
        if trusted { (Event::Confirmed.target(), MAX_WAIT) } else { (Status::Pending, CONFIRM_WITHIN) };
    let query = sqlx::query!(
        r#"
        INSERT INTO subscriptions (id, order_id, customer_id, sku, quantity, claim, created_at, expires_at,
                                   state, consent, consented_at, activated_at, asked_round)
        SELECT id, order_id, customer_id, sku, quantity, claim, now(), now() + make_interval(secs => $7), $10,
               CASE WHEN $8 THEN $9 END, CASE WHEN $8 THEN now() END, CASE WHEN $8 THEN now() END, (NOT $8)::int
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[])
             AS requested (id, order_id, customer_id, sku, quantity, claim)
        ON CONFLICT (order_id, sku) WHERE order_id IS NOT NULL DO UPDATE
        -- A restored database has the subscription from the log, which names no customer.
        SET customer_id = excluded.customer_id
        WHERE subscriptions.customer_id IS NULL AND subscriptions.email IS NULL
        "#,
        &column(&requested, |row| row.id.uuid()),
        &column(&requested, |row| row.order.uuid()),
        &column(&requested, |row| row.customer.uuid()),
        &column(&requested, |row| row.sku.as_str()) as &[&str],
        &column(&requested, |row| quantity(row.quantity)),
        &column(&requested, |row| String::from(tokens.claim_hash(row.id))),
        expires_after.as_seconds_f64(),
        trusted,
        Consent::Order.as_str(),
        status.as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Waits for the transactions that make subscriptions of orders, and holds up later ones: of a contact and a subscription that are
/// written at the same moment, the second must see the first. Taken before any other lock, by the readers of both topics.
pub(crate) async fn lock_for_contacts(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(hashtext('addressing'))")
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// The same for the transactions that make subscriptions of orders: waits for those that write contacts.
pub(crate) async fn lock_for_subscriptions(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('addressing'))").execute(&mut **tx).await.map(drop)
}

/// A subscription and the address that it is to get.
pub(crate) struct Addressed {
    pub id: Uuid,
    pub customer: CustomerId,
    pub order: Option<Uuid>,
    pub email: EmailAddress,
    pub mailbox: Mailbox,
    pub sku: String,
    pub name: Option<String>,
    pub quantity: i32,
    pub status: Status,
    /// The number of its request in `arrivals`; `None` when the order's consent is not trusted.
    arrival: Option<i64>,
    activated_at: Option<OffsetDateTime>,
}

/// The subscriptions of these customers that have no address yet, in the order in which their mailboxes are locked. Locks the
/// contacts: an erasure at the same moment either finds the address gone here, or waits and then finds the subscription.
pub(crate) async fn find(tx: &mut Tx, tokens: &Tokens, customers: &[Uuid]) -> sqlx::Result<Vec<Addressed>> {
    let rows = sqlx::query!(
        r#"
        SELECT subscriptions.id, subscriptions.customer_id AS "customer_id!", contacts.email AS "email!", order_id, sku,
               products.name AS "name?", quantity, state, activated_at,
               CASE WHEN consented_at IS NOT NULL THEN arrival END AS "arrival?"
        FROM subscriptions JOIN contacts USING (customer_id) LEFT JOIN products USING (sku)
        WHERE customer_id = ANY($1) AND subscriptions.email IS NULL AND contacts.email IS NOT NULL AND is_active(state)
        ORDER BY customer_id, subscriptions.id FOR SHARE OF contacts
        "#,
        customers,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        // The table holds parsed addresses only.
        let Ok(email) = EmailAddress::from_older(&row.email) else { continue };
        found.push(Addressed {
            id: row.id,
            customer: row.customer_id.into(),
            order: row.order_id,
            mailbox: tokens.mailbox(&email),
            email,
            sku: row.sku,
            name: row.name,
            quantity: row.quantity,
            status: row.state.parse().map_err(undecodable)?,
            arrival: row.arrival,
            activated_at: row.activated_at,
        });
    }
    found.sort_by_cached_key(|row| (row.email.mailbox(), row.sku.clone(), row.id));
    Ok(found)
}

/// Locks and returns the active subscription that the address has for the same product.
pub(crate) async fn active_of(tx: &mut Tx, row: &Addressed) -> sqlx::Result<Option<(Uuid, Status)>> {
    let other = sqlx::query!(
        "SELECT id, state FROM subscriptions WHERE email = $1 AND sku = $2 AND is_active(state) FOR UPDATE",
        row.email.expose(),
        row.sku,
    )
    .fetch_optional(&mut **tx)
    .await?;
    other.map(|other| Ok((other.id, other.state.parse().map_err(undecodable)?))).transpose()
}

/// Writes the address; returns the subscription to announce when it is on the waitlist.
pub(crate) async fn write(tx: &mut Tx, row: &Addressed) -> sqlx::Result<Option<Confirmed>> {
    let written = sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET email = $2, mailbox = $4, version = version + (state = $5)::int,
            told_restocks = (SELECT max(told_restocks) FROM subscriptions AS told WHERE told.email = $2 AND told.sku = $3)
        WHERE id = $1 AND email IS NULL AND is_active(state)
        RETURNING id, sku, quantity, order_id, version
        "#,
        row.id,
        row.email.expose(),
        row.sku,
        row.mailbox.bytes(),
        Status::Waiting.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(written.filter(|row| row.version > 0))
}

/// Merges the subscription into the one that the address has. The older place counts; a customer who bought the product and
/// asks again by another order is on the waitlist again.
pub(crate) async fn merge_into(tx: &mut Tx, row: &Addressed, into: Uuid) -> sqlx::Result<()> {
    subscriptions::merge(tx, row.id, into).await?;
    let query = sqlx::query!(
        "UPDATE subscriptions SET activated_at = LEAST(activated_at, $2), arrival = GREATEST(arrival, $3)
         WHERE id = $1 AND state = $4",
        into,
        row.activated_at,
        row.arrival,
        Status::Waiting.as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// At most 500 customers of orders whose subscriptions a restored database has from the log, which names no customer.
pub(crate) async fn overlooked(pool: &PgPool) -> sqlx::Result<Vec<CustomerId>> {
    sqlx::query!(
        r#"
        UPDATE subscriptions SET customer_id = orders.customer_id
        FROM orders
        WHERE subscriptions.customer_id IS NULL AND email IS NULL AND is_active(state)
          AND subscriptions.order_id = orders.order_id AND orders.customer_id IS NOT NULL
        "#,
    )
    .execute(pool)
    .await?;
    let customers = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT customer_id AS "customer!" FROM subscriptions JOIN contacts USING (customer_id)
        WHERE subscriptions.email IS NULL AND contacts.email IS NOT NULL AND is_active(state)
        LIMIT 500
        "#,
    )
    .fetch_all(pool)
    .await?;
    Ok(customers.into_iter().map(CustomerId::from).collect())
}
