//! All SQL of the service: products, stock, reservations. Batch in and batch out; rows are locked in the order of their
//! keys, and a transaction locks products before reservations before stock.

pub(crate) mod products;
pub(crate) mod reservations;
pub(crate) mod stock;

use broker::Keys;
use envelope::Sequence;

/// A column that is not what its constraint promises: someone else's hand was in the database.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// A `version` or `seen_…` column; constraints keep it positive.
fn sequence(number: i64) -> Sequence {
    Sequence::from_i64(number).unwrap_or_default()
}

/// The keys to publish again, as the queries take them: this one alone, those after, at most so many.
fn bounds(keys: Keys<'_>) -> (Option<&str>, &str, i64) {
    match keys {
        Keys::One(key) => (Some(key), "", 1),
        Keys::After { after, limit } => (None, after.unwrap_or_default(), limit),
    }
}
