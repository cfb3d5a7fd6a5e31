//! What a message says: kept with the delivery as JSON, read by the templates. No address and no link stands in it.

use events::values::{Money, OrderId, ProductName, Quantity, Sku, SubscriptionId};
use events::{CancelReason, Item, NotificationKind, ShortLine};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

/// The content of a message, one variant a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Content {
    /// The order is confirmed.
    OrderConfirmed {
        /// The order.
        order_id: OrderId,
        /// What was ordered.
        items: Vec<Item>,
        /// What it costs.
        total: Money,
    },
    /// The order is cancelled.
    OrderCancelled {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: CancelReason,
        /// What was ordered.
        items: Vec<Item>,
        /// What it would have cost.
        total: Money,
        /// The lines that were short, by name, when it was sold out.
        short: Vec<Short>,
        /// The customer asked to be told when they are back.
        notify_me: bool,
    },
    /// The money went back.
    OrderRefunded {
        /// The order.
        order_id: OrderId,
        /// How much.
        amount: Money,
    },
    /// Please confirm that you want to be told.
    ConfirmSubscription {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// What, and its name.
        sku: Sku,
        #[serde(deserialize_with = "name")]
        name: String,
        /// How many are wanted.
        quantity: Quantity,
        /// Which question it is that the link answers,
        round: i32,
        /// and until when it can.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    /// It is back.
    BackInStock {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// What, its name and its price.
        sku: Sku,
        #[serde(deserialize_with = "name")]
        name: String,
        price: Money,
        /// How many were wanted.
        quantity: Quantity,
        /// Which restock it is.
        restocks: i64,
    },
}

/// The name of a product as an earlier version may have kept it, without what cannot be seen.
fn name<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    ProductName::deserialize(reader).map(String::from)
}

/// A line that was short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Short {
    /// What, and by which name it was ordered.
    pub sku: Sku,
    pub name: ProductName,
    /// How many the order wanted.
    pub wanted: Quantity,
    /// The subscription that came of it, where the customer asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
}

impl Content {
    /// What the message is about.
    pub(crate) fn kind(&self) -> NotificationKind {
        match self {
            Self::OrderConfirmed { .. } => NotificationKind::OrderConfirmed,
            Self::OrderCancelled { .. } => NotificationKind::OrderCancelled,
            Self::OrderRefunded { .. } => NotificationKind::OrderRefunded,
            Self::ConfirmSubscription { .. } => NotificationKind::ConfirmSubscription,
            Self::BackInStock { .. } => NotificationKind::BackInStock,
        }
    }

    /// The product that it is about, if it is about one.
    pub(crate) fn sku(&self) -> Option<&Sku> {
        match self {
            Self::ConfirmSubscription { sku, .. } | Self::BackInStock { sku, .. } => Some(sku),
            Self::OrderConfirmed { .. } | Self::OrderCancelled { .. } | Self::OrderRefunded { .. } => None,
        }
    }

    /// The subscription that it is about, if it is about one.
    pub(crate) fn subscription_id(&self) -> Option<SubscriptionId> {
        match self {
            Self::ConfirmSubscription { subscription_id, .. } | Self::BackInStock { subscription_id, .. } => {
                Some(*subscription_id)
            }
            Self::OrderConfirmed { .. } | Self::OrderCancelled { .. } | Self::OrderRefunded { .. } => None,
        }
    }

    /// The restock that it tells of.
    pub(crate) fn restocks(&self) -> Option<i64> {
        match self {
            Self::BackInStock { restocks, .. } => Some(*restocks),
            _ => None,
        }
    }

    /// The order that it is about, if it is about one.
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::OrderConfirmed { order_id, .. }
            | Self::OrderCancelled { order_id, .. }
            | Self::OrderRefunded { order_id, .. } => Some(*order_id),
            Self::ConfirmSubscription { .. } | Self::BackInStock { .. } => None,
        }
    }
}

impl Short {
    /// The short lines of an order with the names that it was placed under.
    pub(crate) fn named(short: &[ShortLine], items: &[Item]) -> Vec<Self> {
        let named = |line: &ShortLine| {
            let item = items.iter().find(|item| item.sku == line.sku)?;
            Some(Self {
                sku: line.sku.clone(),
                name: item.name.clone(),
                wanted: line.wanted,
                subscription: None,
            })
        };
        short.iter().filter_map(named).collect()
    }
}

/// A kind as the database keeps it.
pub(crate) fn kind_name(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::OrderConfirmed => "order_confirmed",
        NotificationKind::OrderCancelled => "order_cancelled",
        NotificationKind::OrderRefunded => "order_refunded",
        NotificationKind::ConfirmSubscription => "confirm_subscription",
        NotificationKind::BackInStock => "back_in_stock",
        NotificationKind::Unknown => "unknown",
    }
}

/// The channel that the database keeps under this name.
pub(crate) fn channel(name: &str) -> events::Channel {
    use events::Channel::{Log, Smtp, Unknown};
    [Log, Smtp].into_iter().find(|channel| channel_name(*channel) == name).unwrap_or(Unknown)
}

/// A channel as the database keeps it.
pub(crate) fn channel_name(channel: events::Channel) -> &'static str {
    match channel {
        events::Channel::Log => "log",
        events::Channel::Smtp => "smtp",
        events::Channel::Unknown => "unknown",
    }
}
