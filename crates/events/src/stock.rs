//! Topic `stock`: the stock level of each product, published by the inventory service. Compacted; each event has the
//! full state.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::Sku;

/// The stock level of each product.
pub const STOCK: Topic =
    Topic { name: "stock", owner: "inventory", key: "sku", cleanup: Cleanup::Compact, personal: false };

/// The events of [`STOCK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StockEvent {
    /// The product was restocked: `restocks` has increased.
    #[serde(rename = "stock.replenished.v1")]
    Replenished(StockLevel),
    /// Stock was sold, reserved, released or counted; the changes of one batch are one event.
    #[serde(rename = "stock.changed.v1")]
    Changed(StockLevel),
}

/// `stock.replenished.v1`, `stock.changed.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLevel {
    pub sku: Sku,
    /// The quantity that can be ordered.
    pub available: i64,
    /// The quantity on the shelf, including reserved stock.
    pub on_hand: i64,
    /// The number of restocks so far; never decreases.
    pub restocks: i64,
}

impl StockEvent {
    /// The event's stock level.
    pub fn level(&self) -> &StockLevel {
        match self {
            Self::Replenished(level) | Self::Changed(level) => level,
        }
    }
}

impl Event for StockEvent {
    const TOPIC: Topic = STOCK;

    fn key(&self) -> String {
        self.level().sku.to_string()
    }
}
