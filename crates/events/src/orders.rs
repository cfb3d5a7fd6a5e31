//! Topic `orders`: what became of an order, told by the order service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::reservations::ShortLine;
use crate::values::{ClaimHash, CustomerId, Money, OrderId, PaymentMethod, ProductName, Quantity, Sku};

/// The history of each order.
pub const ORDERS: Topic =
    Topic { name: "orders", owner: "order", key: "order id", cleanup: Cleanup::Delete, personal: false };

/// Everything that is published on [`ORDERS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// A customer ordered; payment and inventory answer.
    #[serde(rename = "order.placed.v1")]
    Placed(OrderPlaced),
    /// Both said yes: payment captures, inventory commits, the customer is told.
    #[serde(rename = "order.confirmed.v1")]
    Confirmed(OrderConfirmed),
    /// It will not be fulfilled: payment reverses, inventory releases, the customer is told.
    #[serde(rename = "order.cancelled.v1")]
    Cancelled(OrderCancelled),
}

/// One line of an order, priced when it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// The product.
    pub sku: Sku,
    /// Its name when the order was placed.
    pub name: ProductName,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub unit_price: Money,
}

/// `order.placed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered; the address is on `customers` alone.
    pub customer_id: CustomerId,
    /// What, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// Whether to subscribe the customer to what turns out to be sold out.
    pub notify_me: bool,
    /// SHA-256 of the claim that led to this order, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimHash>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: OffsetDateTime,
}

/// `order.confirmed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// SHA-256 of the claim that led to this order, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimHash>,
}

/// `order.cancelled.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// Why.
    pub reason: CancelReason,
    /// What was ordered, each SKU once.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// The lines that were short, when it was sold out.
    #[serde(default)]
    pub short: Vec<ShortLine>,
    /// Whether to subscribe the customer to the short lines.
    #[serde(default)]
    pub notify_me: bool,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Not enough stock for at least one line.
    OutOfStock,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment was authorized and could not be captured.
    PaymentFailed,
    /// The customer cancelled.
    CustomerRequest,
    /// Nobody answered in time.
    Expired,
    /// A reason that a newer service gives.
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
    /// The order that it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Placed(OrderPlaced { order_id, .. })
            | Self::Confirmed(OrderConfirmed { order_id, .. })
            | Self::Cancelled(OrderCancelled { order_id, .. }) => *order_id,
        }
    }
}
