//! All SQL of the service, batch in and batch out. Rows are locked in the order of their keys, and a transaction locks
//! products before reservations before stock.

pub(crate) mod products;
pub(crate) mod reservations;
pub(crate) mod stock;

use broker::Keys;

/// Returns the query parameters for the keys to publish again: a single key, the key before the first, and the limit.
fn bounds(keys: Keys<'_>) -> (Option<&str>, &str, i64) {
    match keys {
        Keys::One(key) => (Some(key), "", 1),
        Keys::After { after, limit } => (None, after.unwrap_or_default(), limit),
    }
}
