//! The catalogue with live stock, folded from the compacted topics `products` and `stock`.

use std::collections::BTreeMap;

use envelope::{Event as _, Sequence};
use events::{ProductEvent, StockEvent};
use serde::Serialize;

use super::event::Event;

/// The most products that the board keeps.
const PRODUCTS: usize = 5000;

/// The products by SKU.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    products: BTreeMap<String, Product>,
}

#[derive(Debug, Default)]
struct Product {
    listed: Option<(Sequence, Listed)>,
    stock: Option<(Sequence, i64)>,
}

#[derive(Debug)]
struct Listed {
    name: String,
    price: String,
    is_offered: bool,
}

/// A product that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Offer {
    pub sku: String,
    pub name: String,
    pub price: String,
    pub available: i64,
}

impl Catalogue {
    /// Applies an event of one of the two topics. Returns the SKU of a product that changed.
    pub(super) fn apply(&mut self, event: &Event) -> Option<String> {
        let (sequence, value) = (event.sequence?, event.value()?);
        if *event.topic == *events::PRODUCTS.name {
            let listed = ProductEvent::parse(&event.kind, &event.key, Some(value)).ok()?;
            let is_offered = matches!(listed, ProductEvent::Listed(_));
            let product = listed.product();
            let (name, price) = (escape::text(product.name.as_str()).into_owned(), product.price.to_string());
            let entry = self.entry(product.sku.as_str())?;
            replace(&mut entry.listed, sequence, Listed { name, price, is_offered })
                .then(|| product.sku.to_string())
        } else if *event.topic == *events::STOCK.name {
            let stock = StockEvent::parse(&event.kind, &event.key, Some(value)).ok()?;
            let level = stock.level();
            let entry = self.entry(level.sku.as_str())?;
            replace(&mut entry.stock, sequence, level.available).then(|| level.sku.to_string())
        } else {
            None
        }
    }

    fn entry(&mut self, sku: &str) -> Option<&mut Product> {
        if self.products.len() >= PRODUCTS && !self.products.contains_key(sku) {
            return None;
        }
        Some(self.products.entry(sku.to_owned()).or_default())
    }

    /// The product, if it can be ordered.
    pub(crate) fn offer(&self, sku: &str) -> Option<Offer> {
        let product = self.products.get(sku)?;
        let (_, listed) = product.listed.as_ref().filter(|(_, listed)| listed.is_offered)?;
        Some(Offer {
            sku: sku.to_owned(),
            name: listed.name.clone(),
            price: listed.price.clone(),
            available: product.stock.map_or(0, |(_, available)| available),
        })
    }

    /// The first `limit` products that can be ordered.
    pub(crate) fn offers(&self, limit: usize) -> Vec<Offer> {
        self.products.keys().filter_map(|sku| self.offer(sku)).take(limit).collect()
    }
}

/// Replaces the state unless the event is an earlier one that was published again.
fn replace<T>(state: &mut Option<(Sequence, T)>, sequence: Sequence, new: T) -> bool {
    let is_newer = state.as_ref().is_none_or(|(last, _)| *last < sequence);
    if is_newer {
        *state = Some((sequence, new));
    }
    is_newer
}
