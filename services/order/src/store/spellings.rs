//! Customers whose address an earlier version stored in another spelling than the canonical one.

use broker::columns::sequence;
use envelope::Sequence;
use events::values::EmailAddress;
use events::{CustomerEvent, CustomerRegistered};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A stored customer.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) registered_at: OffsetDateTime,
}

/// Lists at most `limit` customers after `after` that have an address of their own, in the order of their ids.
pub(crate) async fn list(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let stored = sqlx::query_as!(
        Stored,
        r#"
        SELECT id, email AS "email!", registered_at FROM customers
        WHERE id > $1 AND erased_at IS NULL AND merged_into IS NULL
        ORDER BY id LIMIT $2
        "#,
        after,
        limit,
    );
    stored.fetch_all(connection).await
}

/// Writes the address of a customer as `canonical`, or merges the customer into the one who has it already. Returns the
/// event to publish; `None` when the customer was erased meanwhile.
pub(crate) async fn respell(
    connection: &mut PgConnection,
    customer: &Stored,
    canonical: EmailAddress,
) -> sqlx::Result<Option<(Sequence, CustomerEvent)>> {
    // Locks both rows before one is written, in the order of their ids like every statement.
    let holders = sqlx::query_scalar!(
        "SELECT id FROM customers WHERE (id = $1 OR email = $2) AND erased_at IS NULL ORDER BY id FOR UPDATE",
        customer.id,
        canonical.expose(),
    );
    let holders = holders.fetch_all(&mut *connection).await?;
    let holder = holders.into_iter().find(|id| *id != customer.id);
    if let Some(holder) = holder {
        let others = sqlx::query!(
            "UPDATE customers SET merged_into = $2 WHERE merged_into = $1",
            customer.id,
            holder,
        );
        others.execute(&mut *connection).await?;
    }
    let version = sqlx::query_scalar!(
        "UPDATE customers
         SET email = CASE WHEN $3::uuid IS NULL THEN $2 ELSE email END, merged_into = $3, version = version + 1
         WHERE id = $1 AND erased_at IS NULL RETURNING version",
        customer.id,
        canonical.expose(),
        holder,
    );
    let version = version.fetch_optional(connection).await?;
    let event = CustomerRegistered {
        customer_id: customer.id.into(),
        email: canonical,
        registered_at: customer.registered_at,
    };
    Ok(version.map(|version| (sequence(version), CustomerEvent::Registered(event))))
}
