//! Work that calls outside: it must survive a crash and cannot be in a transaction.
//!
//! [`Worker`] claims domain rows with a lease and a token, makes the calls side by side, and writes the results back
//! where the token is still the claim's. [`every`] is for what is no queue: one transaction, every so often.

mod backoff;
mod every;
mod leased;

pub use backoff::backoff;
pub use every::every;
pub use leased::{Queue, Worker, call_deadline};
