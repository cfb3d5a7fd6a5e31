//! The moment at which the address behind an order's wish is known: the wish joins what the address has, becomes a question
//! where an order's word is not enough, or comes to nothing where the address has refused it or too much was wished for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Cause, Tx};
use events::Channel;
use events::values::{CustomerId, EmailAddress, Quantity};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::confirmed::Confirmed;
use super::subscriptions::{self, CONFIRM_WITHIN};
use super::tokens::{Mailbox, Tokens};
use super::{objections, questions};
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;
use crate::deliver::queue;

/// Gives wishes of orders their addresses.
#[derive(Clone)]
pub(crate) struct Adoption {
    pub tokens: Tokens,
    pub channels: Arc<[Channel]>,
    /// Wishes of orders that a mailbox may have in an hour; 0 for no limit.
    pub per_hour: u32,
}

/// A subscription whose address has just become known.
pub(super) struct Found {
    pub(super) id: Uuid,
    customer: CustomerId,
    pub(super) order: Option<Uuid>,
    pub(super) email: EmailAddress,
    pub(super) mailbox: Mailbox,
    pub(super) sku: String,
    name: Option<String>,
    quantity: i32,
    state: String,
    /// When it was asked for, as `arrivals` counts; `None` when an order's word is not enough.
    arrival: Option<i64>,
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
fn fate(state: &str, other: Option<&(Uuid, String)>) -> Fate {
    match other {
        None => Fate::Stays,
        Some((other, other_state)) if other_state == "pending" && state == "waiting" => Fate::TakesIn(*other),
        Some((other, _)) => Fate::Merges(*other),
    }
}

impl Adoption {
    /// Gives the subscriptions of these customers their addresses, where they are known by now.
    pub(crate) async fn adopt(
        &self,
        tx: &mut Tx,
        customers: &BTreeMap<CustomerId, Cause>,
    ) -> sqlx::Result<()> {
        let mut questions = Vec::new();
        for found in self.found(tx, customers).await? {
            let cause = customers.get(&found.customer).cloned().unwrap_or_default();
            questions.extend(self.give_address(tx, &found, cause).await?);
        }
        if questions.is_empty() {
            Ok(())
        } else {
            queue::insert(tx, &questions, &self.channels).await.map(drop)
        }
    }

    /// Those that have no address yet, in the order in which their mailboxes are locked.
    async fn found(&self, tx: &mut Tx, customers: &BTreeMap<CustomerId, Cause>) -> sqlx::Result<Vec<Found>> {
        let ids: Vec<Uuid> = customers.keys().map(|customer| customer.uuid()).collect();
        let rows = sqlx::query!(
            r#"
            SELECT subscriptions.id, subscriptions.customer_id AS "customer_id!", contacts.email AS "email!", order_id, sku,
                   products.name AS "name?", quantity, state, activated_at,
                   CASE WHEN consented_at IS NOT NULL THEN arrival END AS "arrival?"
            FROM subscriptions JOIN contacts USING (customer_id) LEFT JOIN products USING (sku)
            WHERE customer_id = ANY($1) AND subscriptions.email IS NULL AND contacts.email IS NOT NULL
              AND state IN ('pending', 'waiting')
            ORDER BY subscriptions.id
            "#,
            &ids,
        )
        .fetch_all(&mut **tx)
        .await?;
        let found = rows.into_iter().filter_map(|row| {
            // The table holds parsed addresses only.
            let email = EmailAddress::from_older(&row.email).ok()?;
            Some(Found {
                id: row.id,
                customer: row.customer_id.into(),
                order: row.order_id,
                mailbox: self.tokens.mailbox(&email),
                email,
                sku: row.sku,
                name: row.name,
                quantity: row.quantity,
                state: row.state,
                arrival: row.arrival,
                activated_at: row.activated_at,
            })
        });
        let mut found: Vec<Found> = found.collect();
        found.sort_by_cached_key(|found| (found.email.mailbox(), found.sku.clone()));
        Ok(found)
    }

    /// Returns the question to put, if there is one.
    async fn give_address(&self, tx: &mut Tx, found: &Found, cause: Cause) -> sqlx::Result<Option<Due>> {
        subscriptions::lock_mailbox(tx, &found.email, &found.sku).await?;
        let other = sqlx::query!(
            r#"
            SELECT id, state FROM subscriptions
            WHERE email = $1 AND sku = $2 AND state IN ('pending', 'waiting') FOR UPDATE
            "#,
            found.email.expose(),
            found.sku,
        )
        .fetch_optional(&mut **tx)
        .await?
        .map(|row| (row.id, row.state));
        let fate = fate(&found.state, other.as_ref());
        let joins = matches!(fate, Fate::Merges(_));
        if let Some(objection) = objections::find(tx, found, joins, self.per_hour).await? {
            objections::drop_wish(tx, found, objection).await?;
            return Ok(None);
        }
        match fate {
            Fate::Merges(into) => {
                merge_into_waiting(tx, found, into).await?;
                return Ok(None);
            }
            Fate::TakesIn(other) => subscriptions::merge(tx, other, found.id).await?,
            Fate::Stays => {}
        }
        if let Some(row) = address(tx, found).await? {
            row.announce(tx, cause.clone())?;
        }
        let now = OffsetDateTime::now_utc();
        let asks = found.state == "pending" && questions::may_ask(tx, &found.mailbox, &found.sku).await?;
        Ok(asks.then(|| found.question(cause, now)).flatten())
    }
}

impl Found {
    fn question(&self, cause: Cause, now: OffsetDateTime) -> Option<Due> {
        let content = Content::ConfirmSubscription {
            subscription_id: self.id.into(),
            sku: self.sku.parse().ok()?,
            name: self.name.clone().unwrap_or_else(|| self.sku.clone()),
            quantity: Quantity::try_from(i64::from(self.quantity)).ok()?,
            round: 1,
            until: now + CONFIRM_WITHIN,
        };
        Some(Due { content, customer: Some(self.customer), cause, at: now })
    }
}

/// Writes the address; returns what is told of it when it waits.
async fn address(tx: &mut Tx, found: &Found) -> sqlx::Result<Option<Confirmed>> {
    let row = sqlx::query_as!(
        Confirmed,
        r#"
        UPDATE subscriptions
        SET email = $2, mailbox = $4, version = version + CASE WHEN state = 'waiting' THEN 1 ELSE 0 END,
            told_restocks = (SELECT max(told_restocks) FROM subscriptions AS told WHERE told.email = $2 AND told.sku = $3)
        WHERE id = $1 AND email IS NULL AND state IN ('pending', 'waiting')
        RETURNING id, sku, quantity, order_id, version
        "#,
        found.id,
        found.email.expose(),
        found.sku,
        found.mailbox.bytes(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.filter(|row| row.version > 0))
}

/// The oldest place wins. Who has bought it and asks again by another order wants to be told again.
async fn merge_into_waiting(tx: &mut Tx, found: &Found, into: Uuid) -> sqlx::Result<()> {
    subscriptions::merge(tx, found.id, into).await?;
    sqlx::query!(
        "UPDATE subscriptions SET activated_at = LEAST(activated_at, $2), arrival = GREATEST(arrival, $3)
         WHERE id = $1 AND state = 'waiting'",
        into,
        found.activated_at,
        found.arrival,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Customers whose contact and whose subscription were written at the same moment, each unseen by the other's
/// transaction; and those of orders whose subscriptions a restored database has from the log, which names no customer.
pub(crate) async fn overlooked(pool: &PgPool) -> sqlx::Result<Vec<CustomerId>> {
    sqlx::query!(
        r#"
        UPDATE subscriptions SET customer_id = orders.customer_id
        FROM orders
        WHERE subscriptions.customer_id IS NULL AND email IS NULL AND state IN ('pending', 'waiting')
          AND subscriptions.order_id = orders.order_id AND orders.customer_id IS NOT NULL
        "#,
    )
    .execute(pool)
    .await?;
    let customers = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT customer_id AS "customer!" FROM subscriptions JOIN contacts USING (customer_id)
        WHERE subscriptions.email IS NULL AND contacts.email IS NOT NULL AND state IN ('pending', 'waiting')
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
        let other = |state: &str| Some((Uuid::max(), state.to_owned()));
        assert_eq!(fate("waiting", None), Fate::Stays);
        assert_eq!(fate("waiting", other("waiting").as_ref()), Fate::Merges(Uuid::max()));
        assert_eq!(fate("waiting", other("pending").as_ref()), Fate::TakesIn(Uuid::max()));
        assert_eq!(fate("pending", other("pending").as_ref()), Fate::Merges(Uuid::max()));
    }
}
