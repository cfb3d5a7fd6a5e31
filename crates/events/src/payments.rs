//! Topic `payments`: the states of each order's payment, published by the payment service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::values::{Money, OrderId};

/// The history of each order's payment.
pub const PAYMENTS: Topic =
    Topic { name: "payments", owner: "payment", key: "order id", cleanup: Cleanup::Delete, personal: false };

/// The events of [`PAYMENTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PaymentEvent {
    /// The gateway holds the amount.
    #[serde(rename = "payment.authorized.v1")]
    Authorized(PaymentAuthorized),
    /// The gateway declined for good; nothing is held.
    #[serde(rename = "payment.declined.v1")]
    Declined(PaymentDeclined),
    /// The held amount was captured.
    #[serde(rename = "payment.captured.v1")]
    Captured(PaymentCaptured),
    /// The capture failed for good; the amount is still held.
    #[serde(rename = "payment.capture_failed.v1")]
    CaptureFailed(PaymentCaptureFailed),
    /// The hold was released (amount 0 if there was none).
    #[serde(rename = "payment.voided.v1")]
    Voided(PaymentVoided),
    /// The captured amount was refunded.
    #[serde(rename = "payment.refunded.v1")]
    Refunded(PaymentRefunded),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    pub order_id: OrderId,
    /// The held amount.
    pub amount: Money,
    /// The gateway's id of the authorization, which a restored database needs to capture, void or refund it. Events of
    /// earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub order_id: OrderId,
    /// The requested amount.
    pub amount: Money,
    pub reason: DeclineReason,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    pub order_id: OrderId,
    /// The captured amount.
    pub amount: Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    pub order_id: OrderId,
    /// The amount that is still held.
    pub amount: Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub order_id: OrderId,
    /// The amount that was held; 0 if there was none.
    pub amount: Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    /// The refunded amount.
    pub amount: Money,
}

/// The reason why a payment was declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeclineReason {
    /// The card was declined.
    CardDeclined,
    /// The card has insufficient funds.
    InsufficientFunds,
    /// The gateway does not know this payment method.
    UnknownMethod,
    /// A reason that only a newer version knows.
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

    /// The event's amount: the order's total, or 0 for a void when nothing was ever held.
    pub fn amount(&self) -> Money {
        match self {
            Self::Authorized(PaymentAuthorized { amount, .. })
            | Self::Declined(PaymentDeclined { amount, .. })
            | Self::Captured(PaymentCaptured { amount, .. })
            | Self::CaptureFailed(PaymentCaptureFailed { amount, .. })
            | Self::Voided(PaymentVoided { amount, .. })
            | Self::Refunded(PaymentRefunded { amount, .. }) => *amount,
        }
    }
}
