//! An order, pure: what was ordered, what became of it, and the events that tell of it. No I/O and no clock: `now` is
//! passed in. The decisions are a state machine without data ([`machine`]); here they get the order's data.

mod machine;
mod past;
pub(crate) mod pricing;
#[cfg(test)]
pub(crate) mod tests;

use envelope::Sequence;
use events::values::OrderId;
use events::{
    CancelReason, OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, PaymentEvent, ReservationEvent,
    ShortLine,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

pub(crate) use machine::{Decision, Happening, Payment, State, Status, Stock};

const CONFIRMED: &str = "order.confirmed.v1";
const CANCELLED: &str = "order.cancelled.v1";

/// An order, as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// What was ordered; never changes.
    pub(crate) placed: OrderPlaced,
    /// Where it stands.
    pub(crate) state: State,
    /// The lines that inventory rejected.
    pub(crate) short: Vec<ShortLine>,
    /// The sequence of the last event published of it.
    pub(crate) version: Sequence,
    /// The sequence of the last event seen of its payment.
    pub(crate) seen_payments: Sequence,
    /// The sequence of the last event seen of its reservation.
    pub(crate) seen_reservations: Sequence,
    /// When it last changed.
    pub(crate) updated_at: OffsetDateTime,
    /// What happened since it was loaded, or placed, oldest first.
    pub(crate) news: Vec<Entry>,
}

/// A line of an order's history: an event of it that was published or consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "order.placed.v1")]
    pub(crate) event_type: String,
    /// When this service published it or heard of it.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

impl Order {
    /// A new order and the event that tells of it, its first.
    pub(crate) fn place(placed: OrderPlaced) -> (Self, OrderEvent) {
        let mut order = Self {
            state: State::PLACED,
            short: Vec::new(),
            version: Sequence::NONE.next(),
            seen_payments: Sequence::NONE,
            seen_reservations: Sequence::NONE,
            updated_at: placed.placed_at,
            news: Vec::new(),
            placed: placed.clone(),
        };
        order.note("order.placed.v1", placed.placed_at);
        (order, OrderEvent::Placed(placed))
    }

    /// The order's id.
    pub(crate) fn id(&self) -> OrderId {
        self.placed.order_id
    }

    /// Why it was cancelled, if it was.
    pub(crate) fn reason(&self) -> Option<CancelReason> {
        match self.state.status {
            Status::Cancelled(reason) => Some(reason),
            Status::Placed | Status::Confirmed => None,
        }
    }

    /// Payment's answer.
    pub(crate) fn hear_payment(&mut self, event: &PaymentEvent, now: OffsetDateTime) -> Option<OrderEvent> {
        let (ce_type, payment) = match event {
            PaymentEvent::Authorized(_) => ("payment.authorized.v1", Payment::Authorized),
            PaymentEvent::Declined(_) => ("payment.declined.v1", Payment::Declined),
            PaymentEvent::Captured(_) => ("payment.captured.v1", Payment::Captured),
            PaymentEvent::CaptureFailed(_) => ("payment.capture_failed.v1", Payment::Failed),
            PaymentEvent::Voided(_) => ("payment.voided.v1", Payment::Voided),
            PaymentEvent::Refunded(_) => ("payment.refunded.v1", Payment::Refunded),
        };
        self.note(ce_type, now);
        self.step(Happening::Paid(payment), now)
    }

    /// Inventory's answer.
    pub(crate) fn hear_reservation(
        &mut self,
        event: &ReservationEvent,
        now: OffsetDateTime,
    ) -> Option<OrderEvent> {
        let (ce_type, stock) = match event {
            ReservationEvent::Reserved(_) => ("stock.reserved.v1", Stock::Reserved),
            ReservationEvent::Rejected(rejected) => {
                // One that comes after the goods were released changes nothing that was published.
                if self.state.stock < Stock::Rejected {
                    self.short.clone_from(&rejected.short);
                }
                ("stock.rejected.v1", Stock::Rejected)
            }
            ReservationEvent::Committed(_) => ("stock.committed.v1", Stock::Committed),
            ReservationEvent::Released(_) => ("stock.released.v1", Stock::Released),
        };
        self.note(ce_type, now);
        self.step(Happening::Stocked(stock), now)
    }

    /// The customer cancels; nothing comes of it when it is cancelled already.
    pub(crate) fn cancel(&mut self, now: OffsetDateTime) -> Option<OrderEvent> {
        self.step(Happening::CancelledByCustomer, now)
    }

    /// The time to wait for answers is over; nothing comes of it when they are in.
    pub(crate) fn expire(&mut self, now: OffsetDateTime) -> Option<OrderEvent> {
        self.step(Happening::TimeOver, now)
    }

    /// This was published of it, which its database does not know since it was restored from an older copy. A cancellation
    /// stays: the customer was promised it.
    pub(crate) fn was_published(&mut self, event: &OrderEvent, at: OffsetDateTime) {
        let status = match (event, self.state.status) {
            (_, Status::Cancelled(_)) | (OrderEvent::Placed(_), _) => return,
            (OrderEvent::Confirmed(_), _) => Status::Confirmed,
            (OrderEvent::Cancelled(cancelled), _) => {
                self.short.clone_from(&cancelled.short);
                Status::Cancelled(cancelled.reason)
            }
        };
        self.state.status = status;
        self.updated_at = at;
        self.note(if status == Status::Confirmed { CONFIRMED } else { CANCELLED }, at);
    }

    fn step(&mut self, happening: Happening, now: OffsetDateTime) -> Option<OrderEvent> {
        let (state, decision) = self.state.step(happening);
        if state != self.state {
            self.updated_at = now;
        }
        self.state = state;
        let event = match decision? {
            Decision::Confirm => {
                self.note(CONFIRMED, now);
                OrderEvent::Confirmed(self.confirmed())
            }
            Decision::Cancel(reason) => {
                self.note(CANCELLED, now);
                OrderEvent::Cancelled(self.cancelled(reason))
            }
        };
        self.version = self.version.next();
        Some(event)
    }

    fn confirmed(&self) -> OrderConfirmed {
        OrderConfirmed {
            order_id: self.placed.order_id,
            customer_id: self.placed.customer_id,
            items: self.placed.items.clone(),
            total: self.placed.total,
            claim: self.placed.claim.clone(),
        }
    }

    fn cancelled(&self, reason: CancelReason) -> OrderCancelled {
        OrderCancelled {
            order_id: self.placed.order_id,
            customer_id: self.placed.customer_id,
            reason,
            items: self.placed.items.clone(),
            total: self.placed.total,
            // Who cancels an order does not wait for its goods.
            short: if reason == CancelReason::OutOfStock { self.short.clone() } else { Vec::new() },
            notify_me: self.placed.notify_me,
        }
    }

    fn note(&mut self, event_type: &str, at: OffsetDateTime) {
        self.news.push(Entry { event_type: event_type.to_owned(), at });
    }
}
