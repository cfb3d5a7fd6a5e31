//! Topic `products`: the catalogue, told by the inventory service. Compacted, each event the full state.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

use crate::values::{Money, ProductName, Sku};

/// The catalogue.
pub const PRODUCTS: Topic =
    Topic { name: "products", owner: "inventory", key: "sku", cleanup: Cleanup::Compact, personal: false };

/// Everything that is published on [`PRODUCTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductEvent {
    /// It can be ordered, at this price.
    #[serde(rename = "product.listed.v1")]
    Listed(Product),
    /// It cannot be ordered any more.
    #[serde(rename = "product.delisted.v1")]
    Delisted(Product),
}

/// `product.listed.v1`, `product.delisted.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product.
    pub sku: Sku,
    /// What it is called.
    pub name: ProductName,
    /// What one costs.
    pub price: Money,
}

impl ProductEvent {
    /// The product as it is now.
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
