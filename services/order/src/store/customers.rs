//! Customers: found by address or registered, erased, published again.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use broker::columns::{column, sequence, undecodable};
use envelope::Sequence;
use events::values::{CustomerId, EmailAddress};
use events::{CustomerErased, CustomerEvent, CustomerRegistered};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// Finds the customers of `addresses`, locked against erasure. Every statement that locks several customers does so in the
/// order of their ids.
pub(crate) async fn find(
    connection: &mut PgConnection,
    addresses: &[&str],
) -> sqlx::Result<BTreeMap<String, CustomerId>> {
    let rows = sqlx::query!(
        r#"SELECT id, email AS "email!" FROM customers WHERE email = ANY ($1) AND erased_at IS NULL ORDER BY id FOR SHARE"#,
        addresses as &[&str],
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.email, row.id.into())).collect())
}

/// Registers customers and returns their addresses, without those that another transaction registered first.
pub(crate) async fn register(
    connection: &mut PgConnection,
    customers: &[CustomerRegistered],
) -> sqlx::Result<HashSet<String>> {
    let registered = sqlx::query_scalar!(
        r#"
        INSERT INTO customers (id, email, registered_at, version)
        SELECT id, email, registered_at, 1
        FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS new (id, email, registered_at) ORDER BY email
        ON CONFLICT (email) WHERE erased_at IS NULL DO NOTHING
        RETURNING email AS "email!"
        "#,
        &column(customers, |customer| customer.customer_id.uuid()),
        &column(customers, |customer| customer.email.expose()) as &[&str],
        &column(customers, |customer| customer.registered_at),
    );
    Ok(registered.fetch_all(connection).await?.into_iter().collect())
}

/// Whether the customer exists, erased or not.
pub(crate) async fn is_known(pool: &PgPool, id: CustomerId) -> sqlx::Result<bool> {
    let known =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM customers WHERE id = $1) AS "known!""#, id.uuid());
    known.fetch_one(pool).await
}

/// The customer to erase.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Erasure<'a> {
    Customer(CustomerId),
    Address(&'a EmailAddress),
}

/// Erases an address of all customers who have it, and returns the events to publish: none when it is unknown.
pub(crate) async fn erase(
    connection: &mut PgConnection,
    erasure: Erasure<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<(Sequence, CustomerEvent)>> {
    let (id, address) = match erasure {
        Erasure::Customer(id) => (Some(id.uuid()), None),
        Erasure::Address(address) => (None, Some(address.expose())),
    };
    let erased = sqlx::query!(
        "WITH named AS MATERIALIZED (
             SELECT COALESCE(merged_into, id) AS id FROM customers WHERE (id = $1 OR email = $2) AND erased_at IS NULL
         ), hit AS MATERIALIZED (
             SELECT id FROM customers
             WHERE (id IN (SELECT id FROM named) OR merged_into IN (SELECT id FROM named)) AND erased_at IS NULL
             ORDER BY id FOR UPDATE
         )
         UPDATE customers SET email = NULL, erased_at = $3, version = version + 1
         FROM hit WHERE customers.id = hit.id RETURNING customers.id, version",
        id,
        address,
        now,
    );
    let rows = erased.fetch_all(connection).await?.into_iter();
    Ok(rows.map(|row| (sequence(row.version), erased_event(row.id))).collect())
}

/// Increments the versions of at most `limit` customers of `range` and returns their present state, in the order of their
/// ids. Customers who were erased more than 30 days ago are included only with `long_erased`.
pub(crate) async fn increment_versions(
    connection: &mut PgConnection,
    range: RangeInclusive<Uuid>,
    long_erased: bool,
    limit: i64,
) -> sqlx::Result<Vec<(Sequence, CustomerEvent)>> {
    let rows = sqlx::query!(
        "WITH chosen AS MATERIALIZED (
             SELECT id FROM customers
             WHERE id BETWEEN $1 AND $2 AND ($3 OR erased_at IS NULL OR erased_at > now() - interval '30 days')
             ORDER BY id LIMIT $4 FOR NO KEY UPDATE
         )
         UPDATE customers SET version = version + 1 FROM chosen WHERE customers.id = chosen.id
         RETURNING customers.id, email, registered_at, version",
        range.start(),
        range.end(),
        long_erased,
        limit,
    );
    let mut rows = rows.fetch_all(connection).await?;
    rows.sort_unstable_by_key(|row| row.id);
    let rows = rows.into_iter();
    rows.map(|row| Ok((sequence(row.version), state(row.id, row.email, row.registered_at)?))).collect()
}

fn state(id: Uuid, email: Option<String>, registered_at: OffsetDateTime) -> sqlx::Result<CustomerEvent> {
    let Some(email) = email else { return Ok(erased_event(id)) };
    // The address of a merged customer still has its old spelling.
    let email = EmailAddress::from_older(&email).map_err(undecodable)?;
    Ok(CustomerEvent::Registered(CustomerRegistered { customer_id: id.into(), email, registered_at }))
}

fn erased_event(id: Uuid) -> CustomerEvent {
    CustomerEvent::Erased(CustomerErased { customer_id: id.into() })
}
