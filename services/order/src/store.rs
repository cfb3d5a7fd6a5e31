//! All SQL of the service: batch in, batch out, without decisions and without commits.

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
