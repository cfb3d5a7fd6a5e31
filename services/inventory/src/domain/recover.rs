//! Reservations and stock of a database that was restored from an older copy, rolled forward by their published events.
//!
//! `reservations` has the reserved and committed goods of each order, `stock` what was available after each change of it. What
//! is on hand is the sum of what is available and what is reserved, so the reservations are rolled forward first.

use std::collections::HashMap;

use envelope::Sequence;
use events::{Line, ReservationEvent, ShortLine, StockEvent};

use super::{Reservation, Status, Stock, Warehouse};

impl Warehouse {
    /// Applies a published event as a fact. The reserved and committed quantities of its products change with it, so that they
    /// stay the sums of the reservations.
    pub(crate) fn recover(&mut self, event: &ReservationEvent, sequence: Sequence) {
        let (status, lines, short) = parts(event);
        let known = self.reservations.entry(event.order_id()).or_insert_with(|| Reservation {
            // The first event of the order: it is read again and must not count as new.
            seen_orders: Sequence::NONE.next(),
            ..Reservation::new(Status::Closed, Vec::new())
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
            // `products` was rolled forward before, so each of its products has a stock row.
            let Some(stock) = self.shelves.0.get_mut(&sku) else { continue };
            let available = stock.available();
            stock.reserved += reserved;
            stock.committed += committed;
            // What is available changes only with a level that was published.
            stock.on_hand = available + stock.reserved;
            stock.balance();
        }
    }
}

impl Stock {
    /// Applies a published level as a fact.
    ///
    /// Restocked and corrected quantities are distinguished only if the compacted log still has the level just before; their sum
    /// is always right.
    pub(crate) fn recover(&mut self, event: &StockEvent, sequence: Sequence) {
        let level = event.level();
        let on_hand = level.available + self.reserved;
        if level.restocks > self.restocks {
            self.restocked += (on_hand - self.on_hand).max(0);
        }
        self.on_hand = on_hand;
        self.restocks = level.restocks;
        self.version = self.version.max(sequence);
        self.balance();
    }

    /// Counts goods that no restock accounts for as corrections.
    fn balance(&mut self) {
        self.corrected = self.on_hand + self.committed - self.restocked;
    }
}

/// Returns the status, the lines and the short lines that an event gives its reservation.
fn parts(event: &ReservationEvent) -> (Status, Vec<Line>, Vec<ShortLine>) {
    let lines = event.goods().to_vec();
    match event {
        ReservationEvent::Reserved(_) => (Status::Reserved, lines, Vec::new()),
        ReservationEvent::Rejected(rejected) => (Status::Rejected, lines, rejected.short.clone()),
        ReservationEvent::Committed(_) => (Status::Committed, lines, Vec::new()),
        ReservationEvent::Released(_) if lines.is_empty() => (Status::Closed, lines, Vec::new()),
        ReservationEvent::Released(_) => (Status::Released, lines, Vec::new()),
    }
}
