//! The stock of one product: on hand = reserved + available; restocked + corrected = on hand + committed.

use envelope::Sequence;
use events::StockLevel;
use events::values::{Quantity, Sku};

/// The most units of a product on hand after a restock or a stock-take.
pub(crate) const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// The stock of a product, with its origin and its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stock {
    /// The quantity on the shelf, including reserved goods.
    pub(crate) on_hand: i64,
    /// The quantity reserved for orders that are not decided yet.
    pub(crate) reserved: i64,
    /// The quantity that left the shelf for confirmed orders, less what came back.
    pub(crate) committed: i64,
    /// The sum of all restocks.
    pub(crate) restocked: i64,
    /// The sum of all corrections by stock-takes.
    pub(crate) corrected: i64,
    /// The number of restocks.
    pub(crate) restocks: i64,
    /// The sequence of the last event published of the stock.
    pub(crate) version: Sequence,
}

/// The error for a restock beyond [`MAX_ON_HAND`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would bring what is on hand beyond 1,000,000,000,000")]
pub(crate) struct Full;

/// The error for a stock-take that found fewer units than are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("on_hand cannot be below what is reserved for orders: {reserved}")]
pub(crate) struct BelowReserved {
    reserved: i64,
}

impl Stock {
    /// Returns the quantity that can be ordered.
    pub(crate) fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Reserves goods; the caller has checked that they are available.
    pub(crate) fn reserve(&mut self, quantity: Quantity) {
        self.reserved += quantity.get();
    }

    /// Releases reserved goods.
    pub(crate) fn release(&mut self, quantity: Quantity) {
        self.reserved -= quantity.get();
    }

    /// Commits reserved goods: they leave the shelf.
    pub(crate) fn commit(&mut self, quantity: Quantity) {
        self.reserved -= quantity.get();
        self.on_hand -= quantity.get();
        self.committed += quantity.get();
    }

    /// Takes committed goods back to the shelf.
    pub(crate) fn take_back(&mut self, quantity: Quantity) {
        self.committed -= quantity.get();
        self.on_hand += quantity.get();
    }

    /// Adds goods that came in.
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

    /// Corrects the quantity on the shelf to the result of a stock-take.
    pub(crate) fn count(&mut self, on_hand: i64) -> Result<(), BelowReserved> {
        if on_hand < self.reserved {
            return Err(BelowReserved { reserved: self.reserved });
        }
        self.corrected += on_hand - self.on_hand;
        self.on_hand = on_hand;
        Ok(())
    }

    /// Returns the published level.
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
    fn a_stock_take_cannot_go_below_the_reserved_quantity() {
        let mut stock = Stock::default();
        stock.restock(quantity(10)).unwrap();
        stock.reserve(quantity(4));
        assert_eq!(stock.count(3), Err(BelowReserved { reserved: 4 }));
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
