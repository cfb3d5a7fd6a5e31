//! The decisions about a payment, without a clock, a database or a gateway.
//!
//! An order sets the [`Goal`] of its payment, and the [`Status`] is what the gateway is known to have done. The next
//! [`Operation`] follows from both. An operation with an unknown outcome is resolved before the next one begins, so money
//! never moves twice.

mod answer;
mod machine;
mod past;
mod payment;
#[cfg(test)]
mod property;
mod recover;
mod request;
mod states;

pub use answer::{Answer, Failure, Outcome};
pub use payment::{Causes, Entry, Payment, Trigger};
pub use request::{Call, Request};
pub use states::{Goal, Operation, Status};
