//! Calls to other systems, which must survive a crash and cannot be part of a transaction.
//!
//! [`Worker`] claims domain rows with a lease and a token, makes the calls concurrently, and writes each result where the
//! row still has the claim's token. [`every`] runs periodic work.
//!
//! Due times and leases are absolute times of the database's clock. If that clock was an hour ahead for a moment, work would
//! wait for an hour. So each has a bound, [`furthest`], beyond which it counts as due.

mod due;
mod every;
mod leased;
mod progress;
mod queue;

pub use due::{backoff, furthest};
pub use every::every;
pub use leased::{HandOver, Reserved, Worker, call_deadline};
pub use queue::Queue;
