//! Topic `reservations`: the states of each order's stock reservation, published by the inventory service.

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

/// The events of [`RESERVATIONS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReservationEvent {
    /// All lines are reserved.
    #[serde(rename = "stock.reserved.v1")]
    Reserved(StockReserved),
    /// At least one line is short, so none is reserved.
    #[serde(rename = "stock.rejected.v1")]
    Rejected(StockRejected),
    /// The reserved stock was taken from the shelf for the confirmed order.
    #[serde(rename = "stock.committed.v1")]
    Committed(StockCommitted),
    /// The reserved stock, if any, can be sold again.
    #[serde(rename = "stock.released.v1")]
    Released(StockReleased),
}

/// A quantity of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// A line that cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    pub sku: Sku,
    /// The ordered quantity.
    pub wanted: Quantity,
    /// The quantity that was available.
    pub available: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockReserved {
    pub order_id: OrderId,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockRejected {
    pub order_id: OrderId,
    pub short: Vec<ShortLine>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockCommitted {
    pub order_id: OrderId,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockReleased {
    pub order_id: OrderId,
    /// The released lines; empty when nothing was reserved.
    pub lines: Vec<Line>,
}

impl Event for ReservationEvent {
    const TOPIC: Topic = RESERVATIONS;

    fn key(&self) -> String {
        self.order_id().to_string()
    }
}

impl ReservationEvent {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Reserved(StockReserved { order_id, .. })
            | Self::Rejected(StockRejected { order_id, .. })
            | Self::Committed(StockCommitted { order_id, .. })
            | Self::Released(StockReleased { order_id, .. }) => *order_id,
        }
    }

    /// The goods that it moves.
    pub fn goods(&self) -> &[Line] {
        match self {
            Self::Reserved(StockReserved { lines, .. })
            | Self::Committed(StockCommitted { lines, .. })
            | Self::Released(StockReleased { lines, .. }) => lines,
            Self::Rejected(_) => &[],
        }
    }
}
