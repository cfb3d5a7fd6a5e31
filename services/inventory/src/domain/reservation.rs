//! What is set aside for one order.

use envelope::Sequence;
use events::values::OrderId;
use events::{
    Line, ReservationEvent, ShortLine, StockCommitted, StockRejected, StockReleased, StockReserved,
};
use strum::{EnumString, IntoStaticStr};

/// The state of an order's reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// All lines are set aside.
    Reserved,
    /// At least one line was short, so none is set aside.
    Rejected,
    /// The goods have left the shelf.
    Committed,
    /// They can be sold again.
    Released,
    /// Cancelled before it was placed: what comes late does nothing.
    Closed,
}

/// An order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Where it stands.
    pub(crate) status: Status,
    /// What is, or was, set aside; nothing when rejected or closed.
    pub(crate) lines: Vec<Line>,
    /// The lines that were short when it was rejected; empty when it was not, or when they were not kept.
    pub(crate) short: Vec<ShortLine>,
    /// The sequence of the last event published of it.
    pub(crate) version: Sequence,
    /// The last sequence seen of the order.
    pub(crate) seen: Sequence,
}

impl Reservation {
    /// The answer to an order's first event.
    pub(crate) fn answered(status: Status, lines: Vec<Line>) -> Self {
        Self { status, lines, short: Vec::new(), version: Sequence::NONE.next(), seen: Sequence::NONE }
    }

    /// Takes the next state, which is published.
    pub(crate) fn become_next(&mut self, status: Status) {
        self.status = status;
        self.version = self.version.next();
    }

    /// The events that were published of the reservation of `order_id`, each with its sequence; without a rejection whose short
    /// lines were not kept.
    ///
    /// Reserved, then committed or not, then released or not: so the status and the version tell which ones.
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
                vec![(
                    first,
                    ReservationEvent::Rejected(StockRejected { order_id, short: self.short.clone() }),
                )]
            }
            Status::Committed => vec![reserved, committed(self.version)],
            Status::Released if self.version > first.next() => {
                vec![reserved, committed(first.next()), released]
            }
            Status::Released => vec![reserved, released],
            Status::Closed => vec![released],
        }
    }

    /// Whether goods move when the order's next event comes.
    pub(crate) fn holds_goods(&self) -> bool {
        matches!(self.status, Status::Reserved | Status::Committed)
    }
}
