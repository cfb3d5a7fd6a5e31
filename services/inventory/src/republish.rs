//! The compacted topics that the inventory owns, `products` and `stock`: their current state, published again.

use std::pin::Pin;

use broker::{Cause, Compacted, Failure, Keys, Tx};
use envelope::Topic;
use events::{PRODUCTS, STOCK, StockEvent};

use crate::store;

/// What the broker wants to know: the last key that was published, if any.
type Republished<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>>;

/// Topic `products`.
pub(crate) struct Products;

impl Compacted for Products {
    fn topic(&self) -> Topic {
        PRODUCTS
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> Republished<'a> {
        Box::pin(async move {
            let mut last = None;
            for row in store::products::raise(tx, keys).await? {
                last = Some(row.product.sku.to_string());
                tx.append(Cause::default(), row.version, &row.event())?;
            }
            Ok(last)
        })
    }
}

/// Topic `stock`.
pub(crate) struct Stock;

impl Compacted for Stock {
    fn topic(&self) -> Topic {
        STOCK
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> Republished<'a> {
        Box::pin(async move {
            let mut last = None;
            for (version, level) in store::stock::raise(tx, keys).await? {
                last = Some(level.sku.to_string());
                // No goods came in, so it is no replenishment; `restocks` tells of those.
                tx.append(Cause::default(), version, &StockEvent::Changed(level))?;
            }
            Ok(last)
        })
    }
}
