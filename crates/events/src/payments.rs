//! Topic `payments`: what became of an order's money, told by the payment service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::{Money, OrderId};

/// The history of each order's payment.
pub const PAYMENTS: Topic =
    Topic { name: "payments", owner: "payment", key: "order id", cleanup: Cleanup::Delete, personal: false };

/// Everything that is published on [`PAYMENTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PaymentEvent {
    /// The amount is held for us.
    #[serde(rename = "payment.authorized.v1")]
    Authorized(PaymentAuthorized),
    /// The gateway refused for good; nothing is held.
    #[serde(rename = "payment.declined.v1")]
    Declined(PaymentDeclined),
    /// The money is ours.
    #[serde(rename = "payment.captured.v1")]
    Captured(PaymentCaptured),
    /// Held, and could not be captured for good.
    #[serde(rename = "payment.capture_failed.v1")]
    CaptureFailed(PaymentCaptureFailed),
    /// The hold is gone (or never was: amount 0).
    #[serde(rename = "payment.voided.v1")]
    Voided(PaymentVoided),
    /// Captured money went back.
    #[serde(rename = "payment.refunded.v1")]
    Refunded(PaymentRefunded),
}

/// `payment.authorized.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    /// The order.
    pub order_id: OrderId,
    /// What is held.
    pub amount: Money,
}

/// `payment.declined.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    /// The order.
    pub order_id: OrderId,
    /// What was asked for.
    pub amount: Money,
    /// Why.
    pub reason: DeclineReason,
}

/// `payment.captured.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    /// The order.
    pub order_id: OrderId,
    /// What was captured.
    pub amount: Money,
}

/// `payment.capture_failed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    /// The order.
    pub order_id: OrderId,
    /// What is still held.
    pub amount: Money,
}

/// `payment.voided.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentVoided {
    /// The order.
    pub order_id: OrderId,
    /// What was held; 0 when nothing ever was.
    pub amount: Money,
}

/// `payment.refunded.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    /// The order.
    pub order_id: OrderId,
    /// What went back.
    pub amount: Money,
}

/// Why a payment was declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// The card was declined.
    CardDeclined,
    /// There is not enough money on it.
    InsufficientFunds,
    /// The gateway does not know this payment method.
    UnknownMethod,
    /// A reason that a newer service gives.
    #[serde(other)]
    Unknown,
}

impl Event for PaymentEvent {
    const TOPIC: Topic = PAYMENTS;

    fn key(&self) -> String {
        self.order_id().to_string()
    }
}

impl PaymentEvent {
    /// The order that it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Authorized(PaymentAuthorized { order_id, .. })
            | Self::Declined(PaymentDeclined { order_id, .. })
            | Self::Captured(PaymentCaptured { order_id, .. })
            | Self::CaptureFailed(PaymentCaptureFailed { order_id, .. })
            | Self::Voided(PaymentVoided { order_id, .. })
            | Self::Refunded(PaymentRefunded { order_id, .. }) => *order_id,
        }
    }
}
