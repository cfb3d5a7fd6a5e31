//! The stock of one product. On the shelf = set aside + available; restocked + corrected = on the shelf + committed.

use envelope::Sequence;
use events::StockLevel;
use events::values::{Quantity, Sku};

/// The most of one product that may stand on the shelf by restocks and stock-takes.
pub(crate) const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// How much there is of a product, and where it came from and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stock {
    /// On the shelf, those set aside included.
    pub(crate) on_hand: i64,
    /// Set aside for orders that are not decided yet.
    pub(crate) reserved: i64,
    /// Left the shelf for confirmed orders, less what came back.
    pub(crate) committed: i64,
    /// Came in by restocks.
    pub(crate) restocked: i64,
    /// Found or missed by stock-takes, in sum.
    pub(crate) corrected: i64,
    /// How often it was restocked.
    pub(crate) restocks: i64,
    /// The sequence of the last event published of it.
    pub(crate) version: Sequence,
}

/// No room for a restock: it would bring what is on hand beyond [`MAX_ON_HAND`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would bring what is on hand beyond 1,000,000,000,000")]
pub(crate) struct Full;

/// A stock-take found fewer than are promised to orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("on_hand cannot be below what is reserved for orders: {reserved}")]
pub(crate) struct Promised {
    /// How many are.
    reserved: i64,
}

impl Stock {
    /// How many can be ordered.
    pub(crate) fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Sets goods aside; the caller has seen that they are available.
    pub(crate) fn reserve(&mut self, quantity: Quantity) {
        self.reserved += quantity.get();
    }

    /// What was set aside can be sold again.
    pub(crate) fn release(&mut self, quantity: Quantity) {
        self.reserved -= quantity.get();
    }

    /// What was set aside leaves the shelf.
    pub(crate) fn commit(&mut self, quantity: Quantity) {
        self.reserved -= quantity.get();
        self.on_hand -= quantity.get();
        self.committed += quantity.get();
    }

    /// What had left comes back to the shelf.
    pub(crate) fn take_back(&mut self, quantity: Quantity) {
        self.committed -= quantity.get();
        self.on_hand += quantity.get();
    }

    /// Goods come in.
    pub(crate) fn restock(&mut self, quantity: Quantity) -> Result<(), Full> {
        let on_hand = self.on_hand + quantity.get();
        if on_hand > MAX_ON_HAND {
            return Err(Full);
        }
        self.on_hand = on_hand;
        self.restocked += quantity.get();
        self.restocks += 1;
        Ok(())
    }

    /// A stock-take found so many on the shelf.
    pub(crate) fn count(&mut self, on_hand: i64) -> Result<(), Promised> {
        if on_hand < self.reserved {
            return Err(Promised { reserved: self.reserved });
        }
        self.corrected += on_hand - self.on_hand;
        self.on_hand = on_hand;
        Ok(())
    }

    /// What readers are told.
    pub(crate) fn level(&self, sku: Sku) -> StockLevel {
        StockLevel { sku, available: self.available(), on_hand: self.on_hand, restocks: self.restocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(number: i64) -> Quantity {
        number.try_into().unwrap()
    }

    #[test]
    fn a_stock_take_cannot_break_a_promise() {
        let mut stock = Stock::default();
        stock.restock(quantity(10)).unwrap();
        stock.reserve(quantity(4));
        assert_eq!(stock.count(3), Err(Promised { reserved: 4 }));
        stock.count(4).unwrap();
        assert_eq!((stock.available(), stock.corrected, stock.restocks), (0, -6, 1));
    }

    #[test]
    fn the_shelf_is_bounded() {
        let mut stock = Stock::default();
        stock.count(MAX_ON_HAND).unwrap();
        assert_eq!(stock.restock(quantity(1)), Err(Full));
        assert_eq!(stock.restocks, 0);
    }
}
