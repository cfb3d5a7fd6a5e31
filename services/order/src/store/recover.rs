//! Customers of a database that was restored from an older copy, rolled forward by the published events.

use std::collections::BTreeMap;

use broker::columns::sequence;
use envelope::Sequence;
use events::CustomerRegistered;
use events::values::CustomerId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Returns the versions of the existing customers, locked in the order of their ids.
pub(crate) async fn versions(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<BTreeMap<CustomerId, Sequence>> {
    let rows =
        sqlx::query!("SELECT id, version FROM customers WHERE id = ANY ($1) ORDER BY id FOR UPDATE", ids);
    let rows = rows.fetch_all(connection).await?.into_iter();
    Ok(rows.map(|row| (row.id.into(), sequence(row.version))).collect())
}

/// Writes a published customer. An erased customer stays erased. If the database has another customer with the address, that
/// customer is merged into this one: either its erasure has not been read yet, or the copy registered it. Like every merged
/// customer it keeps another spelling that is read as the same address, here one with a zero-width space.
pub(crate) async fn register(
    connection: &mut PgConnection,
    customer: &CustomerRegistered,
    version: Sequence,
) -> sqlx::Result<()> {
    let (id, address) = (customer.customer_id.uuid(), customer.email.expose());
    let updated = sqlx::query!(
        "UPDATE customers SET version = greatest(version, $2)
         WHERE id = $1 AND (erased_at IS NOT NULL OR merged_into IS NOT NULL OR email = $3)",
        id,
        version.to_i64(),
        address,
    );
    if updated.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    let other = sqlx::query_scalar!(
        "UPDATE customers
         SET email = email || repeat(U&'\\200B', 1 + (SELECT count(*)::integer FROM customers AS others
                                                     WHERE others.email LIKE customers.email || '%'))
         WHERE email = $1 AND erased_at IS NULL RETURNING id",
        address,
    );
    let other = other.fetch_optional(&mut *connection).await?;
    let inserted = sqlx::query!(
        "INSERT INTO customers (id, email, registered_at, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE
         SET email = excluded.email, version = greatest(customers.version, excluded.version)",
        id,
        address,
        customer.registered_at,
        version.to_i64(),
    );
    inserted.execute(&mut *connection).await?;
    if let Some(other) = other {
        sqlx::query!("UPDATE customers SET merged_into = $1 WHERE id = $2 OR merged_into = $2", id, other)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Repeats an erasure.
pub(crate) async fn erase(
    connection: &mut PgConnection,
    id: CustomerId,
    version: Sequence,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let erased = sqlx::query!(
        "INSERT INTO customers (id, email, registered_at, erased_at, version) VALUES ($1, NULL, $2, $2, $3)
         ON CONFLICT (id) DO UPDATE
         SET email = NULL, erased_at = coalesce(customers.erased_at, excluded.erased_at),
             version = greatest(customers.version, excluded.version)",
        id.uuid(),
        now,
        version.to_i64(),
    );
    erased.execute(connection).await?;
    Ok(())
}

/// Inserts customers that are no longer on `customers`, because they were erased so long ago that the tombstone is gone.
/// Their orders still refer to them.
pub(crate) async fn insert_erased(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    let inserted = sqlx::query!(
        "INSERT INTO customers (id, email, registered_at, erased_at, version)
         SELECT DISTINCT id, NULL, now(), now(), 1 FROM unnest($1::uuid[]) AS missing (id) ORDER BY id
         ON CONFLICT DO NOTHING",
        ids,
    );
    inserted.execute(connection).await?;
    Ok(())
}
