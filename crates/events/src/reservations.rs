//! Topic `reservations`: whether an order's goods are there, told by the inventory service.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::{OrderId, Quantity, Sku};

/// The history of each order's reservation.
pub const RESERVATIONS: Topic = Topic {
    name: "reservations",
    owner: "inventory",
    key: "order id",
    cleanup: Cleanup::Delete,
    personal: false,
};

/// Everything that is published on [`RESERVATIONS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReservationEvent {
    /// All lines are set aside.
    #[serde(rename = "stock.reserved.v1")]
    Reserved(StockReserved),
    /// At least one line is short, so none is set aside.
    #[serde(rename = "stock.rejected.v1")]
    Rejected(StockRejected),
    /// The goods have left the shelf.
    #[serde(rename = "stock.committed.v1")]
    Committed(StockCommitted),
    /// What was set aside (nothing, when nothing was) can be sold again.
    #[serde(rename = "stock.released.v1")]
    Released(StockReleased),
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// A line that cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    /// The product.
    pub sku: Sku,
    /// How many the order wants.
    pub wanted: Quantity,
    /// How many there were.
    pub available: i64,
}

/// `stock.reserved.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockReserved {
    /// The order.
    pub order_id: OrderId,
    /// What is set aside.
    pub lines: Vec<Line>,
}

/// `stock.rejected.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockRejected {
    /// The order.
    pub order_id: OrderId,
    /// Each line that was short.
    pub short: Vec<ShortLine>,
}

/// `stock.committed.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockCommitted {
    /// The order.
    pub order_id: OrderId,
    /// What left the shelf.
    pub lines: Vec<Line>,
}

/// `stock.released.v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockReleased {
    /// The order.
    pub order_id: OrderId,
    /// What can be sold again; empty when nothing was set aside.
    pub lines: Vec<Line>,
}

impl Event for ReservationEvent {
    const TOPIC: Topic = RESERVATIONS;

    fn key(&self) -> String {
        self.order_id().to_string()
    }
}

impl ReservationEvent {
    /// The order that it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Reserved(StockReserved { order_id, .. })
            | Self::Rejected(StockRejected { order_id, .. })
            | Self::Committed(StockCommitted { order_id, .. })
            | Self::Released(StockReleased { order_id, .. }) => *order_id,
        }
    }
}
