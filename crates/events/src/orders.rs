//! Topic `orders`: the states of each order, published by the order service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::reservations::ShortLine;
use crate::values::{ClaimHash, CustomerId, Money, OrderId, PaymentMethod, ProductName, Quantity, Sku};

/// The history of each order.
pub const ORDERS: Topic =
    Topic { name: "orders", owner: "order", key: "order id", cleanup: Cleanup::Delete, personal: false };

/// The events of [`ORDERS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// A customer placed an order; payment and inventory answer.
    #[serde(rename = "order.placed.v1")]
    Placed(OrderPlaced),
    /// Payment authorized and inventory reserved: payment captures, inventory commits, notification mails the customer.
    #[serde(rename = "order.confirmed.v1")]
    Confirmed(OrderConfirmed),
    /// The order will not be fulfilled: payment voids or refunds, inventory releases, notification mails the customer.
    #[serde(rename = "order.cancelled.v1")]
    Cancelled(OrderCancelled),
}

/// A line of an order, with name and price as of the time it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// The product.
    pub sku: Sku,
    /// The product's name.
    pub name: ProductName,
    /// The quantity.
    pub quantity: Quantity,
    /// The price of one unit.
    pub unit_price: Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderPlaced {
    pub order_id: OrderId,
    /// The customer, whose address is only on `customers`.
    pub customer_id: CustomerId,
    /// The items, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    pub payment_method: PaymentMethod,
    /// Whether to subscribe the customer to products that turn out to be sold out.
    pub notify_me: bool,
    /// SHA-256 of the claim with which the customer ordered, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimHash>,
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    /// The items, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// SHA-256 of the claim with which the customer ordered, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimHash>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub reason: CancelReason,
    /// The ordered items, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// The lines without enough stock; empty for other reasons.
    #[serde(default)]
    pub short: Vec<ShortLine>,
    /// Whether to subscribe the customer to the short lines.
    #[serde(default)]
    pub notify_me: bool,
}

/// The reason of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CancelReason {
    /// At least one line had not enough stock.
    OutOfStock,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment was authorized, but the capture failed.
    PaymentFailed,
    /// The customer cancelled.
    CustomerRequest,
    /// Payment or inventory did not answer in time.
    Expired,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Unknown,
}

impl Event for OrderEvent {
    const TOPIC: Topic = ORDERS;

    fn key(&self) -> String {
        self.order_id().to_string()
    }
}

impl OrderEvent {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Placed(OrderPlaced { order_id, .. })
            | Self::Confirmed(OrderConfirmed { order_id, .. })
            | Self::Cancelled(OrderCancelled { order_id, .. }) => *order_id,
        }
    }
}
