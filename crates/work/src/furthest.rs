//! How far ahead a stored time can lie.

use std::time::Duration;

/// How much later one transaction's `now()` can be than another's: that of its beginning.
const SLACK: Duration = Duration::from_secs(10);

/// The furthest ahead that a due time or a lease can lie where nothing sets one longer than `longest`; with no `longest`,
/// that of a time which was "now" when it was written. A time further ahead was written while the database's clock was wrong:
/// it counts as due, or the work would wait until the clock has come that far.
#[must_use]
pub const fn furthest(longest: Duration) -> Duration {
    longest.saturating_add(SLACK)
}
