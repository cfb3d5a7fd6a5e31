//! The states of a payment. The database, idempotency keys and metrics have their strum names.

use serde::Serialize;
use strum::{EnumIter, EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// The state that the order requires of its payment; it only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Goal {
    /// The amount is held.
    Authorized,
    /// The amount is captured.
    Captured,
    /// The hold is voided, or the captured amount refunded.
    Reversed,
}

/// The state that the gateway is known to have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// Nothing yet, as far as is known.
    Pending,
    /// The amount is held.
    Authorized,
    /// Declined; nothing is held.
    Declined,
    /// The amount is captured.
    Captured,
    /// The amount is held, and the gateway refuses to capture it.
    CaptureFailed,
    /// Nothing is held any more, or ever was.
    Voided,
    /// The amount was captured and refunded.
    Refunded,
}

/// A change that the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Operation {
    Authorize,
    Capture,
    Void,
    Refund,
}
