//! The decisions about a payment, without a clock, a database or a gateway.
//!
//! An order sets the [`Goal`] of its payment, and the [`Status`] is what the gateway is known to have done. The next
//! [`Operation`] follows from both. An operation with an unknown outcome is resolved before the next one begins, so money
//! never moves twice.

mod call;
mod machine;
mod payment;
#[cfg(test)]
mod property;
mod recover;
mod states;

pub(crate) use call::{Answer, Call, Failure, Outcome, Request};
pub(crate) use payment::{Causes, Entry, Payment, Trigger};
pub(crate) use states::{Goal, Operation, Status};
