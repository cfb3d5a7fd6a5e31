//! The content of a message, stored with the delivery as JSON and read by the templates. It holds no address and no link.

use events::values::{Money, OrderId, ProductName, Quantity, Sku, SubscriptionId};
use events::{CancelReason, Item, NotificationKind, ShortLine};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Content {
    OrderConfirmed {
        order_id: OrderId,
        items: Vec<Item>,
        total: Money,
    },
    OrderCancelled {
        order_id: OrderId,
        reason: CancelReason,
        items: Vec<Item>,
        total: Money,
        /// The sold-out lines.
        short: Vec<ShortItem>,
        /// The customer asked for a message when they are back in stock.
        notify_me: bool,
    },
    OrderRefunded {
        order_id: OrderId,
        amount: Money,
    },
    /// Asks the recipient to confirm a subscription.
    ConfirmSubscription {
        subscription_id: SubscriptionId,
        sku: Sku,
        #[serde(deserialize_with = "name")]
        name: String,
        /// The wanted quantity.
        quantity: Quantity,
        /// The number of this confirmation mail for the subscription, from 1.
        round: i32,
        /// The end of the time in which the link works.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    BackInStock {
        subscription_id: SubscriptionId,
        sku: Sku,
        #[serde(deserialize_with = "name")]
        name: String,
        price: Money,
        /// The wanted quantity.
        quantity: Quantity,
        /// The number of the restock that the message announces.
        restocks: i64,
    },
}

/// Reads the name of a product without invisible characters, which an earlier version may have stored.
fn name<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    ProductName::deserialize(reader).map(String::from)
}

/// A sold-out line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShortItem {
    pub sku: Sku,
    /// The name under which it was ordered.
    pub name: ProductName,
    pub wanted: Quantity,
    /// The subscription for it, where the customer asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
}

impl Content {
    pub(crate) fn kind(&self) -> NotificationKind {
        match self {
            Self::OrderConfirmed { .. } => NotificationKind::OrderConfirmed,
            Self::OrderCancelled { .. } => NotificationKind::OrderCancelled,
            Self::OrderRefunded { .. } => NotificationKind::OrderRefunded,
            Self::ConfirmSubscription { .. } => NotificationKind::ConfirmSubscription,
            Self::BackInStock { .. } => NotificationKind::BackInStock,
        }
    }

    /// The product, if the message is about one.
    pub(crate) fn sku(&self) -> Option<&Sku> {
        match self {
            Self::ConfirmSubscription { sku, .. } | Self::BackInStock { sku, .. } => Some(sku),
            Self::OrderConfirmed { .. } | Self::OrderCancelled { .. } | Self::OrderRefunded { .. } => None,
        }
    }

    /// The subscription, if the message is about one.
    pub(crate) fn subscription_id(&self) -> Option<SubscriptionId> {
        match self {
            Self::ConfirmSubscription { subscription_id, .. } | Self::BackInStock { subscription_id, .. } => {
                Some(*subscription_id)
            }
            Self::OrderConfirmed { .. } | Self::OrderCancelled { .. } | Self::OrderRefunded { .. } => None,
        }
    }

    /// The number of the restock that the message announces.
    pub(crate) fn restocks(&self) -> Option<i64> {
        let Self::BackInStock { restocks, .. } = self else { return None };
        Some(*restocks)
    }

    /// The order, if the message is about one.
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::OrderConfirmed { order_id, .. }
            | Self::OrderCancelled { order_id, .. }
            | Self::OrderRefunded { order_id, .. } => Some(*order_id),
            Self::ConfirmSubscription { .. } | Self::BackInStock { .. } => None,
        }
    }
}

impl ShortItem {
    /// The short lines of an order, with the names under which they were ordered.
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
