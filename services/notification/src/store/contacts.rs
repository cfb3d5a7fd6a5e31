//! The copy of topic `customers`: the only table that holds the address of a customer.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::CustomerEvent;
use events::values::{CustomerId, EmailAddress};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{column, sequence};

/// The contacts of a batch.
pub(crate) type Contacts = BTreeMap<CustomerId, Contact>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    pub reach: Reach,
    /// Of topic `customers`.
    pub last_sequence: Sequence,
}

/// Whether a customer can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No event has arrived yet.
    #[default]
    Unknown,
    At(EmailAddress),
    /// The customer asked to be forgotten. Final.
    Erased,
}

impl Reach {
    /// Applies an event. An erased customer stays erased: a registration that is read again revives nobody.
    pub(crate) fn apply(&mut self, event: &CustomerEvent) {
        match event {
            CustomerEvent::Registered(registered) if *self != Self::Erased => {
                *self = Self::At(registered.email.clone());
            }
            CustomerEvent::Registered(_) | CustomerEvent::Erased(_) => *self = Self::Erased,
        }
    }

    fn address(&self) -> Option<&str> {
        match self {
            Self::At(address) => Some(address.expose()),
            Self::Unknown | Self::Erased => None,
        }
    }
}

/// Loads and locks the contacts of these customers; unknown ones are absent.
pub(crate) async fn load(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<Contacts> {
    let rows = sqlx::query!(
        r#"
        SELECT customer_id, email, seen_customers FROM contacts
        WHERE customer_id = ANY($1) ORDER BY customer_id FOR UPDATE
        "#,
        customers,
    )
    .fetch_all(&mut **tx)
    .await?;
    let contact = |email: Option<String>| match email.map(|email| EmailAddress::from_older(&email)) {
        Some(Ok(address)) => Reach::At(address),
        Some(Err(_)) => Reach::Unknown,
        None => Reach::Erased,
    };
    let rows = rows.into_iter().map(|row| {
        let last_sequence = sequence(row.seen_customers);
        (row.customer_id.into(), Contact { reach: contact(row.email), last_sequence })
    });
    Ok(rows.collect())
}

/// Writes contacts, none of them unknown.
pub(crate) async fn save(tx: &mut Tx, contacts: &Contacts) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        INSERT INTO contacts (customer_id, email, erased_at, seen_customers)
        SELECT id, email, CASE WHEN email IS NULL THEN now() END, seen
        FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS contact (id, email, seen)
        ON CONFLICT (customer_id) DO UPDATE
        SET email = excluded.email, seen_customers = excluded.seen_customers,
            erased_at = CASE WHEN excluded.email IS NULL THEN COALESCE(contacts.erased_at, now()) END
        "#,
        &column(contacts, |(id, _)| id.uuid()),
        &column(contacts, |(_, contact)| contact.reach.address()) as &[Option<&str>],
        &column(contacts, |(_, contact)| contact.last_sequence.to_i64()),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Locks all customers of this address and returns their ids.
pub(crate) async fn lock(connection: &mut PgConnection, email: &EmailAddress) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT customer_id FROM contacts WHERE email = $1 ORDER BY customer_id FOR UPDATE",
        email.expose(),
    )
    .fetch_all(connection)
    .await
}

/// Forgets the address of these customers.
pub(crate) async fn erase(connection: &mut PgConnection, customers: &[Uuid]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "UPDATE contacts SET email = NULL, erased_at = now() WHERE customer_id = ANY($1) AND email IS NOT NULL",
        customers,
    );
    query.execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use events::{CustomerErased, CustomerRegistered};
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn an_erased_customer_is_never_revived() {
        let customer_id = CustomerId::random();
        let email: EmailAddress = "ada@example.com".parse().unwrap();
        let registered = CustomerEvent::Registered(CustomerRegistered {
            customer_id,
            email: email.clone(),
            registered_at: OffsetDateTime::UNIX_EPOCH,
        });
        let mut reach = Reach::default();
        reach.apply(&registered);
        assert_eq!(reach, Reach::At(email));
        reach.apply(&CustomerEvent::Erased(CustomerErased { customer_id }));
        reach.apply(&registered);
        assert_eq!(reach, Reach::Erased);
    }
}
