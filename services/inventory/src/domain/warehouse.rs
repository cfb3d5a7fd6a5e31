//! What an order's events do to the goods: all lines of an order are set aside or none, and every order is answered once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::values::{OrderId, Sku};
use events::{
    Line, OrderEvent, OrderPlaced, ReservationEvent, ShortLine, StockCommitted, StockRejected, StockReleased,
    StockReserved,
};

use super::{Reservation, Status, Stock};

/// The part of the inventory that a batch of orders needs.
#[derive(Debug, Default)]
pub(crate) struct Warehouse {
    /// What is set aside, by order; an order that is not here was never heard of.
    pub(crate) reservations: HashMap<OrderId, Reservation>,
    /// The products.
    pub(crate) shelves: Shelves,
}

/// Stock by product; of a product that is not here there is none.
#[derive(Debug, Default)]
pub(crate) struct Shelves(pub(crate) BTreeMap<Sku, Stock>);

/// An event that contradicts what is known: no state of the inventory can follow from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    /// Confirmed, and nobody ever placed it.
    #[error("an order was confirmed that was never placed")]
    NeverPlaced,
    /// Confirmed, although its stock was rejected.
    #[error("an order was confirmed whose stock was rejected")]
    WasRejected,
    /// An order's lines name each product once.
    #[error("an order names {0} twice")]
    SkuTwice(Sku),
    /// Goods are set aside, and the product has no stock row.
    #[error("{0} is set aside, and there is no stock of it")]
    NoStock(Sku),
}

impl Warehouse {
    /// Applies one event and says what is published, if anything:
    ///
    /// | state | placed | confirmed | cancelled |
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
                    (Reservation::answered(Status::Closed, Vec::new()), answer)
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
            _ => return Ok(None),
        };
        for Line { sku, quantity } in &reservation.lines {
            move_goods(self.shelves.stock(sku)?, *quantity);
        }
        reservation.become_next(status);
        let lines = reservation.lines.clone();
        Ok(Some(if status == Status::Committed {
            ReservationEvent::Committed(StockCommitted { order_id, lines })
        } else {
            ReservationEvent::Released(StockReleased { order_id, lines })
        }))
    }
}

impl Shelves {
    /// Sets aside all lines of a new order, or none.
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
            return Ok((
                Reservation { short, ..Reservation::answered(Status::Rejected, Vec::new()) },
                answer,
            ));
        }
        let mut lines = Vec::with_capacity(placed.items.len());
        for item in &placed.items {
            self.stock(&item.sku)?.reserve(item.quantity);
            lines.push(Line { sku: item.sku.clone(), quantity: item.quantity });
        }
        let answer = ReservationEvent::Reserved(StockReserved { order_id, lines: lines.clone() });
        Ok((Reservation::answered(Status::Reserved, lines), answer))
    }

    fn stock(&mut self, sku: &Sku) -> Result<&mut Stock, Contradiction> {
        self.0.get_mut(sku).ok_or_else(|| Contradiction::NoStock(sku.clone()))
    }
}
