//! Topic `stock`: how much there is of each product, told by the inventory service. Compacted, each event the full state.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::Sku;

/// The stock of each product.
pub const STOCK: Topic =
    Topic { name: "stock", owner: "inventory", key: "sku", cleanup: Cleanup::Compact, personal: false };

/// Everything that is published on [`STOCK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StockEvent {
    /// Goods came in: `restocks` has grown.
    #[serde(rename = "stock.replenished.v1")]
    Replenished(StockLevel),
    /// Sold, reserved, released or counted; the changes of one batch are one event.
    #[serde(rename = "stock.changed.v1")]
    Changed(StockLevel),
}

/// `stock.replenished.v1`, `stock.changed.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLevel {
    /// The product.
    pub sku: Sku,
    /// How many can be ordered.
    pub available: i64,
    /// How many stand on the shelf, those set aside included.
    pub on_hand: i64,
    /// How often it was restocked; only grows.
    pub restocks: i64,
}

impl StockEvent {
    /// The level that it tells.
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
