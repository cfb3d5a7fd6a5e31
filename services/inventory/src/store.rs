//! All SQL of the service, batch in and batch out. Rows are locked in the order of their keys, and a transaction locks
//! products before reservations before stock.

pub(crate) mod products;
pub(crate) mod reservations;
pub(crate) mod stock;

use broker::Keys;
use envelope::Sequence;

/// The error for a column whose value is not valid, although its constraint should prevent that.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Reads a `version` or `seen_…` column, which constraints keep positive.
fn sequence(number: i64) -> Sequence {
    Sequence::from_i64(number).unwrap_or_default()
}

/// Returns the query parameters for the keys to publish again: a single key, the key before the first, and the limit.
fn bounds(keys: Keys<'_>) -> (Option<&str>, &str, i64) {
    match keys {
        Keys::One(key) => (Some(key), "", 1),
        Keys::After { after, limit } => (None, after.unwrap_or_default(), limit),
    }
}
