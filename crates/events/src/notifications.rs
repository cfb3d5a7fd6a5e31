//! Topic `notifications`: the outcome of each message and subscription, without addresses, published by the
//! notification service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
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

/// The events of [`NOTIFICATIONS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NotificationEvent {
    /// A channel accepted a message.
    #[serde(rename = "notification.sent.v1")]
    Sent(Delivery),
    /// A message failed for good.
    #[serde(rename = "notification.failed.v1")]
    Failed(DeliveryFailed),
    /// A person confirmed that they wait for a product.
    #[serde(rename = "subscription.confirmed.v1")]
    SubscriptionConfirmed(SubscriptionConfirmed),
    /// A notified subscriber ordered.
    #[serde(rename = "subscription.converted.v1")]
    SubscriptionConverted(SubscriptionConverted),
}

/// The subject of a message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NotificationKind {
    /// The order is confirmed.
    OrderConfirmed,
    /// The order is cancelled, with the reason.
    OrderCancelled,
    /// The payment is refunded.
    OrderRefunded,
    /// The request to confirm a subscription.
    ConfirmSubscription,
    /// The product is back in stock.
    BackInStock,
    /// A kind that only a newer version knows.
    #[serde(other)]
    Unknown,
}

/// The channel by which a message leaves the system.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Channel {
    /// A line in the log.
    Log,
    /// A mail.
    Smtp,
    /// A channel that only a newer version knows.
    #[serde(other)]
    Unknown,
}

/// `notification.sent.v1`, and the common fields of `notification.failed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub delivery_id: DeliveryId,
    /// The subject of the message.
    pub kind: NotificationKind,
    /// The channel that accepted it, or did not deliver it.
    pub channel: Channel,
    /// The order, if the message is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// The product, if the message is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// The subscription, if the message is about one. Events of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<SubscriptionId>,
    /// The number of the restock, if the message is about one. Events of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restocks: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryFailed {
    /// The message that was not delivered.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The cause, in a sentence without personal data.
    pub cause: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionConfirmed {
    pub subscription_id: SubscriptionId,
    /// The product that the subscriber waits for.
    pub sku: Sku,
    /// The wanted quantity.
    pub quantity: Quantity,
    /// The sold-out order that asked for it, if one did. Events of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionConverted {
    pub subscription_id: SubscriptionId,
    /// The product that the subscriber waited for.
    pub sku: Sku,
    /// The order with the subscriber's claim.
    pub order_id: OrderId,
    /// SHA-256 of the claim in the mail.
    pub claim: ClaimHash,
    /// The ordered quantity of the product.
    pub units: i64,
}

impl Event for NotificationEvent {
    const TOPIC: Topic = NOTIFICATIONS;

    fn key(&self) -> String {
        match self {
            Self::Sent(delivery) | Self::Failed(DeliveryFailed { delivery, .. }) => {
                delivery.delivery_id.to_string()
            }
            Self::SubscriptionConfirmed(SubscriptionConfirmed { subscription_id, .. })
            | Self::SubscriptionConverted(SubscriptionConverted { subscription_id, .. }) => {
                subscription_id.to_string()
            }
        }
    }
}
