//! The system from outside, a file a behaviour. One binary: linking is what takes time.

#![expect(clippy::unwrap_used, reason = "a test panics")]

mod back_in_stock;
mod crashes;
mod everything;
mod idempotency;
mod outages;
mod outcomes;
mod overselling;
mod payments;
mod refusals;
mod sharing;
mod traces;
