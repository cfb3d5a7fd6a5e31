//! The effects of an order's events: all lines of an order are reserved or none, and every order is answered once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::values::{OrderId, Sku};
use events::{
    Line, OrderEvent, OrderPlaced, ReservationEvent, ShortLine, StockCommitted, StockRejected, StockReleased,
    StockReserved,
};

use super::{Reservation, Status, Stock};

/// The reservations and the stock of a batch of orders.
#[derive(Debug, Default)]
pub(crate) struct Warehouse {
    /// The reservations by order; no event of a missing order was applied yet.
    pub(crate) reservations: HashMap<OrderId, Reservation>,
    pub(crate) shelves: Shelves,
}

/// The stock by product; a missing product has none.
#[derive(Debug, Default)]
pub(crate) struct Shelves(pub(crate) BTreeMap<Sku, Stock>);

/// The reason why an event cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("the order was confirmed, but never placed")]
    NeverPlaced,
    #[error("the order was confirmed, but its stock was rejected")]
    WasRejected,
    #[error("the order lists {0} twice")]
    SkuTwice(Sku),
    /// Goods are reserved, but the product has no stock row.
    #[error("{0} is reserved, but has no stock")]
    NoStock(Sku),
}

impl Warehouse {
    /// Applies an event and returns the event to publish:
    ///
    /// | status | placed | confirmed | cancelled |
    /// |---|---|---|---|
    /// | – | reserved or rejected | contradiction | closed: released, no lines |
    /// | reserved | | committed | released |
    /// | rejected | | contradiction | (the rejection was the answer) |
    /// | committed | | | released: back to the shelf |
    /// | released, closed | | | |
    pub(crate) fn apply(&mut self, event: &OrderEvent) -> Result<Option<ReservationEvent>, Contradiction> {
        let order_id = event.order_id();
        let Some(reservation) = self.reservations.get_mut(&order_id) else {
            let (reservation, answer) = match event {
                OrderEvent::Placed(placed) => self.shelves.place(placed)?,
                OrderEvent::Cancelled(_) => {
                    let answer = ReservationEvent::Released(StockReleased { order_id, lines: Vec::new() });
                    (Reservation::new(Status::Closed, Vec::new()), answer)
                }
                OrderEvent::Confirmed(_) => return Err(Contradiction::NeverPlaced),
            };
            self.reservations.insert(order_id, reservation);
            return Ok(Some(answer));
        };
        let (status, move_goods): (_, fn(&mut Stock, _)) = match (reservation.status, event) {
            (Status::Reserved, OrderEvent::Confirmed(_)) => (Status::Committed, Stock::commit),
            (Status::Reserved, OrderEvent::Cancelled(_)) => (Status::Released, Stock::release),
            (Status::Committed, OrderEvent::Cancelled(_)) => (Status::Released, Stock::take_back),
            (Status::Rejected, OrderEvent::Confirmed(_)) => return Err(Contradiction::WasRejected),
            (_, OrderEvent::Placed(_))
            | (Status::Rejected, OrderEvent::Cancelled(_))
            | (Status::Committed, OrderEvent::Confirmed(_))
            | (Status::Released | Status::Closed, OrderEvent::Confirmed(_) | OrderEvent::Cancelled(_)) => {
                return Ok(None);
            }
        };
        for Line { sku, quantity } in &reservation.lines {
            move_goods(self.shelves.stock(sku)?, *quantity);
        }
        reservation.status = status;
        reservation.version = reservation.version.next();
        let lines = reservation.lines.clone();
        Ok(Some(if status == Status::Committed {
            ReservationEvent::Committed(StockCommitted { order_id, lines })
        } else {
            ReservationEvent::Released(StockReleased { order_id, lines })
        }))
    }
}

impl Shelves {
    /// Returns all of the stock, sorted by product.
    pub(crate) fn rows(&self) -> Vec<(&Sku, Stock)> {
        self.0.iter().map(|(sku, stock)| (sku, *stock)).collect()
    }

    /// Reserves all lines of a new order, or none.
    fn place(&mut self, placed: &OrderPlaced) -> Result<(Reservation, ReservationEvent), Contradiction> {
        let mut named = BTreeSet::new();
        if let Some(twice) = placed.items.iter().find(|item| !named.insert(&item.sku)) {
            return Err(Contradiction::SkuTwice(twice.sku.clone()));
        }
        let order_id = placed.order_id;
        let short = placed.items.iter().filter_map(|item| {
            let available = self.0.get(&item.sku).map_or(0, Stock::available);
            let is_short = available < item.quantity.get();
            is_short.then(|| ShortLine { sku: item.sku.clone(), wanted: item.quantity, available })
        });
        let short: Vec<_> = short.collect();
        if !short.is_empty() {
            let answer = ReservationEvent::Rejected(StockRejected { order_id, short: short.clone() });
            return Ok((Reservation { short, ..Reservation::new(Status::Rejected, Vec::new()) }, answer));
        }
        let mut lines = Vec::with_capacity(placed.items.len());
        for item in &placed.items {
            self.stock(&item.sku)?.reserve(item.quantity);
            lines.push(Line { sku: item.sku.clone(), quantity: item.quantity });
        }
        let answer = ReservationEvent::Reserved(StockReserved { order_id, lines: lines.clone() });
        Ok((Reservation::new(Status::Reserved, lines), answer))
    }

    fn stock(&mut self, sku: &Sku) -> Result<&mut Stock, Contradiction> {
        self.0.get_mut(sku).ok_or_else(|| Contradiction::NoStock(sku.clone()))
    }
}
