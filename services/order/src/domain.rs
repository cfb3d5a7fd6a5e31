//! An order, pure: its content, its state, and the events that publish it. No I/O and no clock: `now` is passed in. The
//! state machine ([`machine`]) has no data; here its decisions get the order's data, and published events are rebuilt from it.

pub mod machine;
pub(crate) mod pricing;
#[cfg(test)]
pub(crate) mod tests;

use envelope::{Event as _, Sequence};
use events::values::OrderId;
use events::{
    CancelReason, OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, PaymentEvent, ReservationEvent,
    ShortLine,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

pub(crate) use machine::{Decision, Input, Payment, State, Status, Stock};

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// The order as placed; never changes.
    pub(crate) placed: OrderPlaced,
    pub(crate) state: State,
    /// The lines that inventory rejected.
    pub(crate) short: Vec<ShortLine>,
    /// The sequence of the last event published of the order.
    pub(crate) version: Sequence,
    /// The sequence of the last event applied of its payment.
    pub(crate) seen_payments: Sequence,
    /// The sequence of the last event applied of its reservation.
    pub(crate) seen_reservations: Sequence,
    /// The time of the last change.
    pub(crate) updated_at: OffsetDateTime,
    /// The history entries in memory, oldest first: those added since the order was loaded, or the whole history of an order
    /// that was loaded to be shown.
    pub(crate) entries: Vec<Entry>,
}

/// A history entry: an event of the order that was published or consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "order.placed.v1")]
    pub(crate) event_type: String,
    /// The time at which this service published or consumed it.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

impl Order {
    /// Creates an order and its first event.
    pub(crate) fn place(placed: OrderPlaced) -> (Self, OrderEvent) {
        let mut order = Self {
            state: State::PLACED,
            short: Vec::new(),
            version: Sequence::NONE.next(),
            seen_payments: Sequence::NONE,
            seen_reservations: Sequence::NONE,
            updated_at: placed.placed_at,
            entries: Vec::new(),
            placed: placed.clone(),
        };
        let (at, event) = (placed.placed_at, OrderEvent::Placed(placed));
        order.note(event.ce_type(), at);
        (order, event)
    }

    pub(crate) fn id(&self) -> OrderId {
        self.placed.order_id
    }

    /// The reason of the cancellation, if the order is cancelled.
    pub(crate) fn reason(&self) -> Option<CancelReason> {
        match self.state.status {
            Status::Cancelled(reason) => Some(reason),
            Status::Placed | Status::Confirmed => None,
        }
    }

    /// Applies an event of the payment and returns the event to publish.
    pub(crate) fn apply_payment(&mut self, event: &PaymentEvent, now: OffsetDateTime) -> Option<OrderEvent> {
        self.note(event.ce_type(), now);
        self.step(event.into(), now)
    }

    /// Applies an event of the reservation and returns the event to publish.
    pub(crate) fn apply_reservation(
        &mut self,
        event: &ReservationEvent,
        now: OffsetDateTime,
    ) -> Option<OrderEvent> {
        // A rejection after a release comes too late to change what was published.
        if let ReservationEvent::Rejected(rejected) = event
            && self.state.stock < Stock::Rejected
        {
            self.short.clone_from(&rejected.short);
        }
        self.note(event.ce_type(), now);
        self.step(event.into(), now)
    }

    /// Cancels the order for its customer; `None` when it is cancelled already.
    pub(crate) fn cancel(&mut self, now: OffsetDateTime) -> Option<OrderEvent> {
        self.step(Input::CancelledByCustomer, now)
    }

    /// Cancels an order that has waited too long for answers; `None` when it does not wait.
    pub(crate) fn expire(&mut self, now: OffsetDateTime) -> Option<OrderEvent> {
        self.step(Input::Expired, now)
    }

    /// Applies a published event of the order as a fact, since its database was restored from an older copy. A cancellation
    /// stays, because it was published.
    pub(crate) fn recover(&mut self, event: &OrderEvent, at: OffsetDateTime) {
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
        self.note(event.ce_type(), at);
    }

    /// Returns the published events, each with its sequence and its time; the order must have its whole history.
    ///
    /// An order is placed, at most once confirmed, and at most once and finally cancelled. So status and version determine
    /// the events.
    pub(crate) fn published(&self) -> Vec<(Sequence, OffsetDateTime, OrderEvent)> {
        let first = Sequence::NONE.next();
        let mut events = vec![(first, OrderEvent::Placed(self.placed.clone()))];
        match self.state.status {
            Status::Placed => {}
            Status::Confirmed => events.push((self.version, OrderEvent::Confirmed(self.confirmed()))),
            Status::Cancelled(reason) => {
                if self.version > first.next() {
                    events.push((first.next(), OrderEvent::Confirmed(self.confirmed())));
                }
                events.push((self.version, OrderEvent::Cancelled(self.cancelled(reason))));
            }
        }
        let timed = |(sequence, event)| (sequence, self.time_of(&event), event);
        events.into_iter().map(timed).collect()
    }

    /// Returns the time at which an event was published, from the history.
    fn time_of(&self, event: &OrderEvent) -> OffsetDateTime {
        let entry = self.entries.iter().find(|entry| entry.event_type == event.ce_type());
        entry.map_or(self.updated_at, |entry| entry.at)
    }

    fn step(&mut self, input: Input, now: OffsetDateTime) -> Option<OrderEvent> {
        let (state, decision) = self.state.step(input);
        if state != self.state {
            self.updated_at = now;
        }
        self.state = state;
        let event = match decision? {
            Decision::Confirm => OrderEvent::Confirmed(self.confirmed()),
            Decision::Cancel(reason) => OrderEvent::Cancelled(self.cancelled(reason)),
        };
        self.note(event.ce_type(), now);
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
            // A customer who cancels does not wait for the products.
            short: if reason == CancelReason::OutOfStock { self.short.clone() } else { Vec::new() },
            notify_me: self.placed.notify_me,
        }
    }

    fn note(&mut self, event_type: &str, at: OffsetDateTime) {
        self.entries.push(Entry { event_type: event_type.to_owned(), at });
    }
}
