//! Topic `notifications`: what was told to whom (never their address), told by the notification service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::values::{ClaimHash, DeliveryId, OrderId, Quantity, Sku, SubscriptionId};

/// The history of each delivery and each subscription.
pub const NOTIFICATIONS: Topic = Topic {
    name: "notifications",
    owner: "notification",
    key: "delivery or subscription id",
    cleanup: Cleanup::Delete,
    personal: false,
};

/// Everything that is published on [`NOTIFICATIONS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NotificationEvent {
    /// A channel accepted a message.
    #[serde(rename = "notification.sent.v1")]
    Sent(DeliverySent),
    /// A message was given up.
    #[serde(rename = "notification.failed.v1")]
    Failed(DeliveryFailed),
    /// Someone waits for a product.
    #[serde(rename = "subscription.confirmed.v1")]
    SubscriptionConfirmed(SubscriptionConfirmed),
    /// Someone who was told ordered.
    #[serde(rename = "subscription.converted.v1")]
    SubscriptionConverted(SubscriptionConverted),
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// The order is confirmed.
    OrderConfirmed,
    /// The order is cancelled, and why.
    OrderCancelled,
    /// The money went back.
    OrderRefunded,
    /// Please confirm that you want to be told.
    ConfirmSubscription,
    /// It is back.
    BackInStock,
    /// A kind that a newer service sends.
    #[serde(other)]
    Unknown,
}

/// How a message leaves the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A line in the log.
    Log,
    /// A mail.
    Smtp,
    /// A channel of a newer service.
    #[serde(other)]
    Unknown,
}

/// `notification.sent.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliverySent {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// What it is about.
    pub kind: NotificationKind,
    /// How it left.
    pub channel: Channel,
    /// The order, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The product, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
}

/// `notification.failed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryFailed {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// What it is about.
    pub kind: NotificationKind,
    /// How it should have left.
    pub channel: Channel,
    /// The order, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The product, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// Why, in a sentence without personal data.
    pub cause: String,
}

/// `subscription.confirmed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionConfirmed {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// What is waited for.
    pub sku: Sku,
    /// How many are wanted.
    pub quantity: Quantity,
}

/// `subscription.converted.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionConverted {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// What was waited for.
    pub sku: Sku,
    /// The order that came of it.
    pub order_id: OrderId,
    /// SHA-256 of the claim in the mail.
    pub claim: ClaimHash,
    /// How many of it were ordered.
    pub units: i64,
}

impl Event for NotificationEvent {
    const TOPIC: Topic = NOTIFICATIONS;

    fn key(&self) -> String {
        match self {
            Self::Sent(DeliverySent { delivery_id, .. })
            | Self::Failed(DeliveryFailed { delivery_id, .. }) => delivery_id.to_string(),
            Self::SubscriptionConfirmed(SubscriptionConfirmed { subscription_id, .. })
            | Self::SubscriptionConverted(SubscriptionConverted { subscription_id, .. }) => {
                subscription_id.to_string()
            }
        }
    }
}
