//! The bound of stored times in the future.

use std::time::Duration;

/// The most by which the `now()` of two concurrent transactions differs: each is the time of the transaction's beginning.
const SLACK: Duration = Duration::from_secs(10);

/// Returns how far in the future a due time or the end of a lease can be when the longest pause or lease is `longest` (zero
/// for a time that was "now" when it was written). A later time was written while the database's clock was ahead. It
/// counts as due; otherwise the work would wait until the clock reaches it.
#[must_use]
pub const fn furthest(longest: Duration) -> Duration {
    longest.saturating_add(SLACK)
}
