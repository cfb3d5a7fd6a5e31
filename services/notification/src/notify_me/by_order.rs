//! Subscriptions that a sold-out order made. Whose address it is may not be known yet: such a subscription belongs to
//! the order's customer until the contact arrives, and is then merged with what the address has.

use std::collections::BTreeMap;

use broker::{Cause, Tx};
use events::values::{CustomerId, OrderId, ProductName, Quantity, Sku, SubscriptionId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::{self, CONFIRM_WITHIN, Consent, Row, WAITS, quantity};
use super::tokens::Tokens;
use crate::config::OrderConsent;
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;

/// A short line whose customer asked to be told.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub id: SubscriptionId,
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub name: ProductName,
    pub quantity: Quantity,
    pub cause: Cause,
    pub at: OffsetDateTime,
}

/// Writes the subscriptions that were not made before, and returns the questions to put: none where an order's word
/// is trusted.
pub(crate) async fn insert(
    tx: &mut Tx,
    tokens: &Tokens,
    made: &[Made],
    consent: OrderConsent,
) -> sqlx::Result<Vec<Due>> {
    let trusted = consent == OrderConsent::Trusted;
    let mut made: Vec<&Made> = made.iter().collect();
    made.sort_by(|a, b| (a.order, &a.sku).cmp(&(b.order, &b.sku)));
    let ids: Vec<Uuid> = made.iter().map(|made| made.id.uuid()).collect();
    let orders: Vec<Uuid> = made.iter().map(|made| made.order.uuid()).collect();
    let customers: Vec<Uuid> = made.iter().map(|made| made.customer.uuid()).collect();
    let skus: Vec<&str> = made.iter().map(|made| made.sku.as_str()).collect();
    let quantities: Vec<i32> = made.iter().map(|made| quantity(made.quantity)).collect();
    let times: Vec<OffsetDateTime> = made.iter().map(|made| made.at).collect();
    let hashes: Vec<String> = made.iter().map(|made| tokens.claim_hash(made.id).into()).collect();
    let waits = if trusted { WAITS } else { CONFIRM_WITHIN };
    let inserted = sqlx::query_scalar!(
        r#"
        INSERT INTO subscriptions (id, order_id, customer_id, sku, quantity, claim, created_at, expires_at,
                                   state, consent, consented_at, activated_at, asked_round)
        SELECT id, order_id, customer_id, sku, quantity, claim, at, at + make_interval(secs => $8),
               CASE WHEN $9 THEN 'waiting' ELSE 'pending' END, CASE WHEN $9 THEN $10 END,
               CASE WHEN $9 THEN at END, CASE WHEN $9 THEN at END, CASE WHEN $9 THEN 0 ELSE 1 END
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::timestamptz[])
             AS made (id, order_id, customer_id, sku, quantity, claim, at)
        ON CONFLICT (order_id, sku) WHERE order_id IS NOT NULL DO NOTHING
        RETURNING id
        "#,
        &ids,
        &orders,
        &customers,
        &skus as &[&str],
        &quantities,
        &hashes,
        &times,
        waits.as_seconds_f64(),
        trusted,
        Consent::Order.name(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let asked = made.into_iter().filter(|made| !trusted && inserted.contains(&made.id.uuid()));
    Ok(asked.map(question).collect())
}

fn question(made: &Made) -> Due {
    let content = Content::ConfirmSubscription {
        subscription_id: made.id,
        sku: made.sku.clone(),
        name: made.name.to_string(),
        quantity: made.quantity,
        round: 1,
        until: made.at + CONFIRM_WITHIN,
    };
    Due { content, customer: Some(made.customer), cause: made.cause.clone(), at: made.at }
}

/// A subscription whose address has just become known.
struct Found {
    id: Uuid,
    email: String,
    sku: String,
    state: String,
    activated_at: Option<OffsetDateTime>,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is the address's only one.
    Stays,
    /// It goes on, and takes in the one that was never confirmed.
    TakesIn(Uuid),
    /// It is merged into the one that the address has.
    Merges(Uuid),
}

/// The other one decides: who waits already keeps the place; a question still open is answered by an order's word.
fn fate(found: &Found, other: Option<&(Uuid, String)>) -> Fate {
    match other {
        None => Fate::Stays,
        Some((other, state)) if state == "pending" && found.state == "waiting" => Fate::TakesIn(*other),
        Some((other, _)) => Fate::Merges(*other),
    }
}

/// Gives the subscriptions of these customers their addresses, where they are known by now.
pub(crate) async fn adopt(tx: &mut Tx, customers: &BTreeMap<CustomerId, Cause>) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = customers.keys().map(|customer| customer.uuid()).collect();
    let found = sqlx::query!(
        r#"
        SELECT subscriptions.id, subscriptions.customer_id AS "customer_id!", contacts.email AS "email!", sku, state, activated_at
        FROM subscriptions JOIN contacts USING (customer_id)
        WHERE customer_id = ANY($1) AND subscriptions.email IS NULL AND contacts.email IS NOT NULL
          AND state IN ('pending', 'waiting')
        ORDER BY contacts.email, sku, subscriptions.id
        "#,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in found {
        let cause = customers.get(&row.customer_id.into()).cloned().unwrap_or_default();
        let found = Found {
            id: row.id,
            email: row.email,
            sku: row.sku,
            state: row.state,
            activated_at: row.activated_at,
        };
        give_address(tx, &found, cause).await?;
    }
    Ok(())
}

async fn give_address(tx: &mut Tx, found: &Found, cause: Cause) -> sqlx::Result<()> {
    subscriptions::lock_address(tx, &found.email, &found.sku).await?;
    let other = sqlx::query!(
        r#"
        SELECT id, state FROM subscriptions
        WHERE email = $1 AND sku = $2 AND state IN ('pending', 'waiting') FOR UPDATE
        "#,
        found.email,
        found.sku,
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(|row| (row.id, row.state));
    match fate(found, other.as_ref()) {
        Fate::Merges(into) => {
            subscriptions::merge(tx, found.id, into).await?;
            // The oldest place wins.
            sqlx::query!(
                "UPDATE subscriptions SET activated_at = LEAST(activated_at, $2) WHERE id = $1 AND state = 'waiting'",
                into,
                found.activated_at,
            )
            .execute(&mut **tx)
            .await?;
            return Ok(());
        }
        Fate::TakesIn(other) => subscriptions::merge(tx, other, found.id).await?,
        Fate::Stays => {}
    }
    let row = sqlx::query_as!(
        Row,
        r#"
        UPDATE subscriptions
        SET email = $2, version = version + CASE WHEN state = 'waiting' THEN 1 ELSE 0 END,
            told_restocks = (SELECT max(told_restocks) FROM subscriptions AS told WHERE told.email = $2 AND told.sku = $3)
        WHERE id = $1 AND email IS NULL AND state IN ('pending', 'waiting')
        RETURNING id, sku, quantity, version
        "#,
        found.id,
        found.email,
        found.sku,
    )
    .fetch_optional(&mut **tx)
    .await?;
    match row {
        Some(row) if row.version > 0 => row.tell(tx, cause),
        _ => Ok(()),
    }
}

/// Customers whose contact and whose subscription or purchase were written at the same moment, each unseen by the
/// other's transaction.
pub(crate) async fn overlooked(pool: &PgPool) -> sqlx::Result<Vec<CustomerId>> {
    let customers = sqlx::query_scalar!(
        r#"
        SELECT customer_id AS "customer!" FROM subscriptions JOIN contacts USING (customer_id)
        WHERE subscriptions.email IS NULL AND contacts.email IS NOT NULL AND state IN ('pending', 'waiting')
        UNION
        SELECT customer_id FROM purchases JOIN contacts USING (customer_id)
        LIMIT 500
        "#,
    )
    .fetch_all(pool)
    .await?;
    Ok(customers.into_iter().map(CustomerId::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_place_wins_and_an_open_question_is_answered() {
        let found = |state: &str| Found {
            id: Uuid::nil(),
            email: String::new(),
            sku: String::new(),
            state: state.to_owned(),
            activated_at: None,
        };
        let other = |state: &str| Some((Uuid::max(), state.to_owned()));
        assert_eq!(fate(&found("waiting"), None), Fate::Stays);
        assert_eq!(fate(&found("waiting"), other("waiting").as_ref()), Fate::Merges(Uuid::max()));
        assert_eq!(fate(&found("waiting"), other("pending").as_ref()), Fate::TakesIn(Uuid::max()));
        assert_eq!(fate(&found("pending"), other("pending").as_ref()), Fate::Merges(Uuid::max()));
    }
}
