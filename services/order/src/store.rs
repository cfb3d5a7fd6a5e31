//! All SQL of the service: batch in, batch out. Nothing here decides, and nothing commits.

pub(crate) mod customers;
pub(crate) mod forward;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod spellings;
pub(crate) mod waiting;

use std::error::Error;

use events::values::Money;
use sqlx::PgConnection;

/// What a column holds is none of our values: the schema's constraints and the code disagree.
fn undecodable(error: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn money(amount: i64, currency: &str) -> sqlx::Result<Money> {
    Ok(Money { amount, currency: currency.parse().map_err(undecodable)? })
}

/// From here on the transaction waits for a lock no longer than a caller can: those behind it wait too.
pub(crate) async fn bound_waits(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', '1s', true)").fetch_one(connection).await?;
    Ok(())
}
