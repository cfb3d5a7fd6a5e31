//! All SQL of the service: batch in, batch out, without decisions and without commits.

pub(crate) mod customers;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod recover;
pub(crate) mod spellings;
pub(crate) mod waiting;

use sqlx::PgConnection;

/// Bounds the transaction's waits for locks, since the requests behind it wait too.
pub(crate) async fn bound_waits(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', '1s', true)").fetch_one(connection).await?;
    Ok(())
}
