//! What may happen to a payment, decided without a clock, a database or a gateway.
//!
//! An order wants something of its payment (the [`Goal`]); the gateway is known to have done something (the
//! [`Status`]); from the two follows the next [`Operation`]. An operation whose outcome is not known is settled before
//! anything else is done, so money never moves twice.

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
pub use payment::{Asked, AskedBy, Entry, Payment};
pub use request::{Call, Request};
pub use states::{Goal, Operation, Status};
