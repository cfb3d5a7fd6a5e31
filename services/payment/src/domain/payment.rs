//! The payment of one order: its goal, its status and its history.

use broker::Cause;
use envelope::{Event as _, Sequence};
use events::values::{Money, OrderId, PaymentMethod};
use events::{DeclineReason, OrderCancelled, OrderPlaced, PaymentEvent};
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Goal, Operation, Status};

/// A payment. Only this module changes its fields; the store reads and writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub order_id: OrderId,
    pub amount: Money,
    /// The payment method; `None` until `order.placed` is read.
    pub method: Option<PaymentMethod>,
    /// The state that the order requires.
    pub goal: Goal,
    /// The state that the gateway is known to have reached.
    pub status: Status,
    /// The gateway's id of the authorization, once there is one.
    pub gateway_id: Option<String>,
    /// The next operation; `None` when the goal is reached, or cannot be.
    pub operation: Option<Operation>,
    /// Whether the operation may have reached the gateway: then no other may begin before its outcome is known.
    pub started: bool,
    /// A part of the idempotency key; grows when the gateway stores a failure under the present key.
    pub generation: i32,
    /// The number of failed calls of this operation, in a row.
    pub failures: i32,
    /// The sequence of the last event published of the payment.
    pub version: Sequence,
    /// The sequence of the last event applied of its order.
    pub seen_orders: Sequence,
    /// The order events that set each goal.
    pub causes: Causes,
    /// The history entries added since the payment was loaded or created, oldest first.
    pub new_entries: Vec<Entry>,
}

/// The ids of the order events that set each goal, and their trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Causes {
    pub placed: Option<Uuid>,
    pub confirmed: Option<Uuid>,
    pub cancelled: Option<Uuid>,
    /// The W3C `traceparent` of the last of them.
    pub traceparent: Option<String>,
}

/// An order event that changes a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub id: Uuid,
    pub event_type: &'static str,
    pub sequence: Sequence,
    pub traceparent: Option<String>,
}

/// A history entry: an event of the order or of the payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "payment.authorized.v1")]
    pub event_type: String,
    /// The time at which this service published or consumed it.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The reason why the payment was declined, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "card_declined")]
    pub reason: Option<DeclineReason>,
}

impl Payment {
    /// Creates the payment of a placed order: to be authorized.
    pub(crate) fn of_placed(order: &OrderPlaced, trigger: Trigger, now: OffsetDateTime) -> Self {
        let mut payment = Self {
            method: Some(order.payment_method.clone()),
            operation: Some(Operation::Authorize),
            ..Self::new(order.order_id, order.total, trigger.sequence)
        };
        payment.causes.placed = Some(trigger.id);
        payment.note(trigger, now);
        payment
    }

    /// Creates the payment of an order that is cancelled before its `order.placed` was read. The payment is voided, so that
    /// a late `order.placed` has no effect. Returns the event that answers the cancellation.
    pub(crate) fn of_cancelled(
        order: &OrderCancelled,
        trigger: Trigger,
        now: OffsetDateTime,
    ) -> (Self, PaymentEvent) {
        let mut payment = Self {
            goal: Goal::Reversed,
            status: Status::Voided,
            ..Self::new(order.order_id, order.total, trigger.sequence)
        };
        payment.causes.cancelled = Some(trigger.id);
        payment.note(trigger, now);
        let event = payment.voided();
        payment.record(&event, now);
        (payment, event)
    }

    /// Applies the `order.placed` of a payment that exists: it completes a payment that was created without the order, and
    /// changes no other.
    pub(crate) fn on_placed(&mut self, order: &OrderPlaced, trigger: Trigger, now: OffsetDateTime) {
        if self.method.is_none() {
            self.complete(order, &trigger);
        }
        self.note(trigger, now);
    }

    /// Applies `order.confirmed`: the amount is to be captured.
    pub(crate) fn on_confirmed(&mut self, trigger: Trigger, now: OffsetDateTime) -> Option<PaymentEvent> {
        self.causes.confirmed = Some(trigger.id);
        self.note(trigger, now);
        self.pursue(Goal::Captured, now)
    }

    /// Applies `order.cancelled`: the amount is to be voided or refunded.
    pub(crate) fn on_cancelled(&mut self, trigger: Trigger, now: OffsetDateTime) -> Option<PaymentEvent> {
        self.causes.cancelled = Some(trigger.id);
        self.note(trigger, now);
        self.pursue(Goal::Reversed, now)
    }

    /// Returns the cause of an event that a worker publishes.
    pub(crate) fn cause(&self, event: &PaymentEvent) -> Cause {
        let event_id = match event {
            PaymentEvent::Authorized(_) | PaymentEvent::Declined(_) => self.causes.placed,
            PaymentEvent::Captured(_) | PaymentEvent::CaptureFailed(_) => self.causes.confirmed,
            PaymentEvent::Voided(_) | PaymentEvent::Refunded(_) => self.causes.cancelled,
        };
        Cause { event_id, traceparent: self.causes.traceparent.clone() }
    }

    pub(super) fn new(order_id: OrderId, amount: Money, seen_orders: Sequence) -> Self {
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
            causes: Causes::default(),
            new_entries: Vec::new(),
        }
    }

    fn note(&mut self, trigger: Trigger, at: OffsetDateTime) {
        self.causes.traceparent = trigger.traceparent.or(self.causes.traceparent.take());
        self.new_entries.push(Entry { event_type: trigger.event_type.to_owned(), at, reason: None });
    }

    /// Numbers an event that is about to be published, and adds it to the history.
    pub(super) fn record(&mut self, event: &PaymentEvent, now: OffsetDateTime) {
        self.version = self.version.next();
        self.note_event(event, now);
    }

    pub(super) fn note_event(&mut self, event: &PaymentEvent, at: OffsetDateTime) {
        let reason = match event {
            PaymentEvent::Declined(declined) => Some(declined.reason),
            PaymentEvent::Authorized(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::Refunded(_) => None,
        };
        self.new_entries.push(Entry { event_type: event.ce_type().to_owned(), at, reason });
    }

    /// Returns the published events, each with its sequence and its time; `history` is the payment's whole history.
    pub(crate) fn published(&self, history: &[Entry]) -> Vec<(Sequence, OffsetDateTime, PaymentEvent)> {
        let mut sequence = Sequence::NONE;
        let mut events = Vec::new();
        for entry in history {
            let Some(event) = self.event_of(entry) else { continue };
            sequence = sequence.next();
            events.push((sequence, entry.at, event));
        }
        events
    }

    /// Returns the payment's event that a history entry is about; `None` for an event of the order.
    fn event_of(&self, entry: &Entry) -> Option<PaymentEvent> {
        // An earlier version did not store the reason.
        let reason = entry.reason.unwrap_or(DeclineReason::Unknown);
        // Nothing is authorized after a void, so a voided amount is still what it was then.
        let mut possible = Status::iter().filter_map(|status| self.event(status, reason));
        possible.find(|event| event.ce_type() == entry.event_type)
    }
}
