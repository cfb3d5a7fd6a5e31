//! The reservation of one order.

use envelope::Sequence;
use events::values::OrderId;
use events::{
    Line, ReservationEvent, ShortLine, StockCommitted, StockRejected, StockReleased, StockReserved,
};
use strum::{EnumString, IntoStaticStr};

/// The status of a reservation. The database has its strum name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// All lines are reserved.
    Reserved,
    /// At least one line was short, so none is reserved.
    Rejected,
    /// The goods have left the shelf.
    Committed,
    /// The goods can be sold again.
    Released,
    /// The order was cancelled before its `order.placed` was read; a late one has no effect.
    Closed,
}

/// An order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) status: Status,
    /// The lines that are, or were, reserved; none when rejected or closed.
    pub(crate) lines: Vec<Line>,
    /// The short lines of a rejected reservation; an earlier version did not store them.
    pub(crate) short: Vec<ShortLine>,
    /// The sequence of the last event published of the reservation.
    pub(crate) version: Sequence,
    /// The sequence of the last event applied of the order.
    pub(crate) seen_orders: Sequence,
}

impl Reservation {
    /// Creates the reservation that answers an order's first event.
    pub(crate) fn new(status: Status, lines: Vec<Line>) -> Self {
        Self { status, lines, short: Vec::new(), version: Sequence::NONE.next(), seen_orders: Sequence::NONE }
    }

    /// Returns the published events of the reservation of `order_id`, each with its sequence; without a rejection whose short
    /// lines were not stored.
    ///
    /// Goods are reserved, then perhaps committed, then perhaps released. So status and version determine the events.
    pub(crate) fn published(&self, order_id: OrderId) -> Vec<(Sequence, ReservationEvent)> {
        let (first, lines) = (Sequence::NONE.next(), || self.lines.clone());
        let reserved = (first, ReservationEvent::Reserved(StockReserved { order_id, lines: lines() }));
        let committed =
            |sequence| (sequence, ReservationEvent::Committed(StockCommitted { order_id, lines: lines() }));
        let released = (self.version, ReservationEvent::Released(StockReleased { order_id, lines: lines() }));
        match self.status {
            Status::Reserved => vec![reserved],
            Status::Rejected if self.short.is_empty() => Vec::new(),
            Status::Rejected => {
                let short = self.short.clone();
                vec![(first, ReservationEvent::Rejected(StockRejected { order_id, short }))]
            }
            Status::Committed => vec![reserved, committed(self.version)],
            Status::Released if self.version > first.next() => {
                vec![reserved, committed(first.next()), released]
            }
            Status::Released => vec![reserved, released],
            Status::Closed => vec![released],
        }
    }

    /// Whether the order's next event moves goods.
    pub(crate) fn holds_goods(&self) -> bool {
        matches!(self.status, Status::Reserved | Status::Committed)
    }
}
