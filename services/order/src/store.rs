//! All SQL of the service: batch in, batch out, without decisions and without commits.
//!
//! A batch is bound as one array per column. One JSON parameter (`jsonb_populate_recordset`) is shorter, but took 66 to 80 µs
//! per order instead of 32 to 37 in groups of 200, and 51 to 77 instead of 23 to 32 in groups of 500 (development build, 2
//! cores, 2026-11-28).

pub(crate) mod customers;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod recover;
pub(crate) mod spellings;
pub(crate) mod waiting;

use std::error::Error;

use events::values::Money;
use sqlx::PgConnection;

/// The error for a column whose value is not valid: the schema's constraints and the code disagree.
fn undecodable(error: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn money(amount: i64, currency: &str) -> sqlx::Result<Money> {
    Ok(Money { amount, currency: currency.parse().map_err(undecodable)? })
}

/// Bounds the transaction's waits for locks, since the requests behind it wait too.
pub(crate) async fn bound_waits(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', '1s', true)").fetch_one(connection).await?;
    Ok(())
}
