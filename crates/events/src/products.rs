//! Topic `products`: the catalogue, published by the inventory service. Compacted; each event has the full state.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::{Money, ProductName, Sku};

/// The catalogue.
pub const PRODUCTS: Topic =
    Topic { name: "products", owner: "inventory", key: "sku", cleanup: Cleanup::Compact, personal: false };

/// The events of [`PRODUCTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductEvent {
    /// The product can be ordered at this price.
    #[serde(rename = "product.listed.v1")]
    Listed(Product),
    /// The product can no longer be ordered.
    #[serde(rename = "product.delisted.v1")]
    Delisted(Product),
}

/// `product.listed.v1`, `product.delisted.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The SKU.
    pub sku: Sku,
    /// The name.
    pub name: ProductName,
    /// The price of one unit.
    pub price: Money,
}

impl ProductEvent {
    /// Whether the product can be ordered.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Listed(_) => true,
            Self::Delisted(_) => false,
        }
    }

    /// The product in its current state.
    pub fn product(&self) -> &Product {
        match self {
            Self::Listed(product) | Self::Delisted(product) => product,
        }
    }
}

impl Event for ProductEvent {
    const TOPIC: Topic = PRODUCTS;

    fn key(&self) -> String {
        self.product().sku.to_string()
    }
}
