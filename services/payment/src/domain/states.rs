//! The words for where a payment is to go, where it is, and what brings it on.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// Where the order wants its payment; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Goal {
    /// Hold the money.
    Authorized,
    /// Take it.
    Captured,
    /// Let go of it, or give it back.
    Reversed,
}

/// What is known to have happened to the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Nothing yet, as far as is known.
    Pending,
    /// Held for us.
    Authorized,
    /// Refused; nothing is held.
    Declined,
    /// Ours.
    Captured,
    /// Held, and the gateway will not let us take it.
    CaptureFailed,
    /// No longer held, or never was.
    Voided,
    /// Taken, and given back.
    Refunded,
}

/// What the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// Hold the amount.
    Authorize,
    /// Take what is held.
    Capture,
    /// Let go of what is held.
    Void,
    /// Give back what was taken.
    Refund,
}
