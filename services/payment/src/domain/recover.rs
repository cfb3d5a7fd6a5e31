//! A payment in a database that was restored from an older copy, rolled forward by its published events.
//!
//! The events say what happened to the money. They do not say the goal: the service reads `orders` again from the copy's
//! position, and an order event that had its effect before finds nothing left to do.

use envelope::Sequence;
use events::{OrderPlaced, PaymentAuthorized, PaymentEvent};
use time::OffsetDateTime;

use super::{Operation, Payment, Status, Trigger};

impl Payment {
    /// Creates the payment of an order that was placed after the copy, from a published event. Nothing is asked of the
    /// gateway before `order.placed` is read again.
    pub(crate) fn of_published(event: &PaymentEvent) -> Self {
        Self::new(event.order_id(), event.amount(), Sequence::NONE)
    }

    /// Applies a published event as a fact: it is not published again, and its call is not made again.
    pub(crate) fn recover(&mut self, event: &PaymentEvent, sequence: Sequence, at: OffsetDateTime) {
        self.version = self.version.max(sequence);
        self.note_event(event, at);
        if let PaymentEvent::Authorized(PaymentAuthorized { gateway_id: Some(gateway_id), .. }) = event {
            self.gateway_id = Some(gateway_id.clone());
        }
        let status = status(event);
        let is_held = matches!(status, Status::Authorized | Status::Captured | Status::CaptureFailed);
        if is_held && self.gateway_id.is_none() {
            // An earlier version published the authorization without the gateway's id. The worker repeats the calls under
            // the same idempotency keys: the gateway answers as it did, without a second effect.
            self.started = self.operation.is_some();
            return;
        }
        self.status = status;
        self.started = false;
        self.failures = 0;
        let event = self.plan();
        debug_assert!(event.is_none(), "only a pending payment is voided without a call");
    }

    /// Whether the published events say that the amount is held, but not under which id of the gateway. Then a key that
    /// failed was not the key of the authorization.
    pub(super) fn is_held_without_id(&self) -> bool {
        self.status == Status::Pending && self.version != Sequence::NONE
    }

    /// Copies from `order.placed` what the events of the payment do not have.
    pub(super) fn complete(&mut self, order: &OrderPlaced, trigger: &Trigger) {
        self.method = Some(order.payment_method.clone());
        self.amount = order.total;
        self.causes.placed = Some(trigger.id);
        if self.status == Status::Pending {
            // The published event proves that the gateway was asked.
            self.operation = Some(Operation::Authorize);
            self.started = true;
        }
    }
}

fn status(event: &PaymentEvent) -> Status {
    match event {
        PaymentEvent::Authorized(_) => Status::Authorized,
        PaymentEvent::Declined(_) => Status::Declined,
        PaymentEvent::Captured(_) => Status::Captured,
        PaymentEvent::CaptureFailed(_) => Status::CaptureFailed,
        PaymentEvent::Voided(_) => Status::Voided,
        PaymentEvent::Refunded(_) => Status::Refunded,
    }
}
