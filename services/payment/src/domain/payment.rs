//! One order's payment: what is wanted of it, what is known, and what was told of it.

use broker::Cause;
use envelope::Sequence;
use events::values::{Money, OrderId, PaymentMethod};
use events::{DeclineReason, OrderCancelled, OrderPlaced, PaymentEvent};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Goal, Operation, Status, past};

/// A payment. Its fields are changed by the decisions in this module alone; the store reads and writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The order.
    pub order_id: OrderId,
    /// The order's total.
    pub amount: Money,
    /// How it is paid; `None` as long as the order was not seen to be placed.
    pub method: Option<PaymentMethod>,
    /// What the order wants.
    pub goal: Goal,
    /// What the gateway is known to have done.
    pub status: Status,
    /// What the gateway calls the authorization, once there is one.
    pub gateway_id: Option<String>,
    /// The next operation; `None`: the goal is reached, or cannot be.
    pub operation: Option<Operation>,
    /// The operation may have reached the gateway: nothing else may be done until its outcome is known.
    pub started: bool,
    /// Part of the idempotency key; grows when the gateway keeps a failure under the present one.
    pub generation: i32,
    /// Calls of this operation that brought nothing, in a row.
    pub failures: i32,
    /// The sequence of the last event published of it.
    pub version: Sequence,
    /// The sequence of the last event seen of its order.
    pub seen_orders: Sequence,
    /// Which events of the order asked for it.
    pub asked_by: AskedBy,
    /// What happened since it was loaded, or made, oldest first.
    pub news: Vec<Entry>,
}

/// The ids of the events that asked for each goal, and the trace that they are part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedBy {
    /// `order.placed`
    pub placed: Option<Uuid>,
    /// `order.confirmed`
    pub confirmed: Option<Uuid>,
    /// `order.cancelled`
    pub cancelled: Option<Uuid>,
    /// W3C `traceparent` of the last of them.
    pub traceparent: Option<String>,
}

/// An event of the order, as its payment remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its id.
    pub id: Uuid,
    /// Its sequence.
    pub sequence: Sequence,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
}

/// A line of a payment's history: an event of its order or of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "payment.authorized.v1")]
    pub event_type: String,
    /// When this service published it or heard of it.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Why it was declined, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "card_declined")]
    pub reason: Option<DeclineReason>,
}

impl Entry {
    fn new(event_type: &str, at: OffsetDateTime) -> Self {
        Self { event_type: event_type.to_owned(), at, reason: None }
    }
}

impl Payment {
    /// The payment of an order that was just placed: to be authorized.
    pub fn placed(order: &OrderPlaced, asked: Asked, now: OffsetDateTime) -> Self {
        let mut payment = Self {
            method: Some(order.payment_method.clone()),
            operation: Some(Operation::Authorize),
            ..Self::open(order.order_id, order.total, asked.sequence)
        };
        payment.asked_by.placed = Some(asked.id);
        payment.note("order.placed.v1", asked, now);
        payment
    }

    /// The payment of an order that was cancelled and never seen to be placed: closed, so that being placed late does
    /// nothing. The cancellation is answered.
    pub fn closed(order: &OrderCancelled, asked: Asked, now: OffsetDateTime) -> (Self, PaymentEvent) {
        let mut payment = Self {
            goal: Goal::Reversed,
            status: Status::Voided,
            ..Self::open(order.order_id, order.total, asked.sequence)
        };
        payment.asked_by.cancelled = Some(asked.id);
        payment.note("order.cancelled.v1", asked, now);
        let event = payment.voided();
        payment.tell(&event, now);
        (payment, event)
    }

    /// The order was placed, and its payment is there already: nothing to do, unless it was made without the order.
    pub fn placed_again(&mut self, order: &OrderPlaced, asked: Asked, now: OffsetDateTime) {
        if self.method.is_none() {
            self.complete(order, &asked);
        }
        self.note("order.placed.v1", asked, now);
    }

    /// The order was confirmed: the money is to be taken.
    pub fn confirmed(&mut self, asked: Asked, now: OffsetDateTime) -> Option<PaymentEvent> {
        self.asked_by.confirmed = Some(asked.id);
        self.note("order.confirmed.v1", asked, now);
        self.pursue(Goal::Captured, now)
    }

    /// The order was cancelled: the money is to go back, wherever it is.
    pub fn cancelled(&mut self, asked: Asked, now: OffsetDateTime) -> Option<PaymentEvent> {
        self.asked_by.cancelled = Some(asked.id);
        self.note("order.cancelled.v1", asked, now);
        self.pursue(Goal::Reversed, now)
    }

    /// What caused an event of this payment that a worker brought about.
    pub fn cause(&self, event: &PaymentEvent) -> Cause {
        let event_id = match event {
            PaymentEvent::Authorized(_) | PaymentEvent::Declined(_) => self.asked_by.placed,
            PaymentEvent::Captured(_) | PaymentEvent::CaptureFailed(_) => self.asked_by.confirmed,
            PaymentEvent::Voided(_) | PaymentEvent::Refunded(_) => self.asked_by.cancelled,
        };
        Cause { event_id, traceparent: self.asked_by.traceparent.clone() }
    }

    pub(super) fn open(order_id: OrderId, amount: Money, seen_orders: Sequence) -> Self {
        Self {
            order_id,
            amount,
            method: None,
            goal: Goal::Authorized,
            status: Status::Pending,
            gateway_id: None,
            operation: None,
            started: false,
            generation: 0,
            failures: 0,
            version: Sequence::NONE,
            seen_orders,
            asked_by: AskedBy::default(),
            news: Vec::new(),
        }
    }

    fn note(&mut self, event_type: &str, asked: Asked, now: OffsetDateTime) {
        self.asked_by.traceparent = asked.traceparent.or(self.asked_by.traceparent.take());
        self.news.push(Entry::new(event_type, now));
    }

    /// Numbers an event that is about to be published, and remembers it.
    pub(super) fn tell(&mut self, event: &PaymentEvent, now: OffsetDateTime) {
        self.version = self.version.next();
        self.note_event(event, now);
    }

    pub(super) fn note_event(&mut self, event: &PaymentEvent, at: OffsetDateTime) {
        let reason = match event {
            PaymentEvent::Declined(declined) => Some(declined.reason),
            _ => None,
        };
        self.news.push(Entry { reason, ..Entry::new(past::type_of(event), at) });
    }
}
