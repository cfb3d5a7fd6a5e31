//! Reservations and stock from an older copy of the database, brought to where their published events say they were.
//!
//! `reservations` says what is set aside and what has left the shelf, order by order; `stock` says how much is on the
//! shelf. A stock event tells one level, not how it came about, so the reservations are rolled forward first and count.

use std::collections::HashMap;

use envelope::Sequence;
use events::{Line, ReservationEvent, ShortLine, StockEvent};

use super::{Reservation, Status, Stock, Warehouse};

impl Warehouse {
    /// Applies an event that was published as a fact. What the shelves of its products have set aside and committed
    /// follows, so that they stay the sums of the reservations.
    pub(crate) fn recover(&mut self, event: &ReservationEvent, sequence: Sequence) {
        let (status, lines, short) = told(event);
        let known = self.reservations.entry(event.order_id()).or_insert_with(|| Reservation {
            // A placed order is the first event of its key. What follows it finds its effect here.
            seen: Sequence::NONE.next(),
            ..Reservation::answered(Status::Closed, Vec::new())
        });
        let mut moved: HashMap<_, (i64, i64)> = HashMap::new();
        for (status, lines, sign) in [(known.status, &known.lines, -1), (status, &lines, 1)] {
            for Line { sku, quantity } in lines {
                let (reserved, committed) = moved.entry(sku.clone()).or_default();
                match status {
                    Status::Reserved => *reserved += sign * quantity.get(),
                    Status::Committed => *committed += sign * quantity.get(),
                    Status::Rejected | Status::Released | Status::Closed => {}
                }
            }
        }
        (known.status, known.lines, known.short) = (status, lines, short);
        known.version = known.version.max(sequence);
        for (sku, (reserved, committed)) in moved {
            // `products` is rolled forward before, and each of its products has a shelf.
            let Some(stock) = self.shelves.0.get_mut(&sku) else { continue };
            stock.reserved += reserved;
            stock.committed += committed;
            // More is promised than the copy had: the restocks in between are told by `stock`.
            stock.on_hand = stock.on_hand.max(stock.reserved);
            stock.balance();
        }
    }
}

impl Stock {
    /// Applies a level that was published as a fact.
    ///
    /// What came in by a restock is told from what a stock-take found as far as the log has the level just before it;
    /// the log is compacted, and the sum alone is certain.
    pub(crate) fn recover(&mut self, event: &StockEvent, sequence: Sequence) {
        let level = event.level();
        // What is promised is there: the level of the last moments may have been lost on its way to the log.
        let on_hand = level.on_hand.max(self.reserved);
        if level.restocks > self.restocks {
            self.restocked += (on_hand - self.on_hand).max(0);
        }
        self.on_hand = on_hand;
        self.restocks = level.restocks;
        self.version = self.version.max(sequence);
        self.balance();
    }

    /// Accounts for what is there, or has left, and no restock has brought.
    fn balance(&mut self) {
        self.corrected = self.on_hand + self.committed - self.restocked;
    }
}

/// Where an event says that its reservation is: its lines, and those that were short.
fn told(event: &ReservationEvent) -> (Status, Vec<Line>, Vec<ShortLine>) {
    let lines = event.goods().to_vec();
    match event {
        ReservationEvent::Reserved(_) => (Status::Reserved, lines, Vec::new()),
        ReservationEvent::Rejected(rejected) => (Status::Rejected, lines, rejected.short.clone()),
        ReservationEvent::Committed(_) => (Status::Committed, lines, Vec::new()),
        ReservationEvent::Released(_) if lines.is_empty() => (Status::Closed, lines, Vec::new()),
        ReservationEvent::Released(_) => (Status::Released, lines, Vec::new()),
    }
}
