//! Work that calls outside: it must survive a crash and cannot be in a transaction.
//!
//! [`Worker`] claims domain rows with a lease and a token, makes the calls side by side, and writes the results back
//! where the token is still the claim's. [`every`] is for what is no queue: one transaction, every so often.
//!
//! Due times and leases are absolute times of the database's clock, so a clock that was an hour ahead for a moment would make
//! work wait for an hour. Hence each has a bound, [`furthest`], beyond which it counts as due.

mod backoff;
mod every;
mod furthest;
mod leased;
mod progress;
mod queue;

pub use backoff::backoff;
pub use every::every;
pub use furthest::furthest;
pub use leased::{Worker, call_deadline};
pub use queue::Queue;
