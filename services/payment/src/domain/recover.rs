//! A payment from an older copy of the database, brought to where its published events say it was.
//!
//! The events say what happened to the money. What the order wants, the goal, is not among them: the service reads it
//! again from `orders`, and an event of the order that had its effect before finds nothing left to do.

use envelope::Sequence;
use events::values::Money;
use events::{
    OrderPlaced, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent,
    PaymentRefunded, PaymentVoided,
};
use time::OffsetDateTime;

use super::{Asked, Operation, Payment, Status};

impl Payment {
    /// The payment that a published event is about and that the database does not know: its order was placed after the
    /// copy. Nothing is asked of the gateway before `order.placed` is read again.
    pub fn unknown(event: &PaymentEvent) -> Self {
        Self::open(event.order_id(), amount(event), Sequence::NONE)
    }

    /// Applies an event that was published as a fact: nothing is told again, and what it tells is not asked for again.
    pub fn recover(&mut self, event: &PaymentEvent, sequence: Sequence, at: OffsetDateTime) {
        self.version = self.version.max(sequence);
        self.note_event(event, at);
        if let PaymentEvent::Authorized(PaymentAuthorized { gateway_id: Some(gateway_id), .. }) = event {
            self.gateway_id = Some(gateway_id.clone());
        }
        let status = status(event);
        let is_held = matches!(status, Status::Authorized | Status::Captured | Status::CaptureFailed);
        if is_held && self.gateway_id.is_none() {
            // An earlier version published the authorization without the gateway's id. The worker asks for it under the
            // same idempotency keys, and for what followed: the gateway answers as it did, without a second effect.
            self.started = self.operation.is_some();
            return;
        }
        self.status = status;
        self.started = false;
        self.failures = 0;
        let told = self.plan();
        debug_assert!(told.is_none(), "only a pending payment is voided without a call");
    }

    /// An event says that the amount is held, and not under which of the gateway's ids: a key that failed was not the one.
    pub(super) fn is_held_unnamed(&self) -> bool {
        self.status == Status::Pending && self.version != Sequence::NONE
    }

    /// Takes from `order.placed` what no event of the payment has, when the payment was made without it.
    pub(super) fn complete(&mut self, order: &OrderPlaced, asked: &Asked) {
        self.method = Some(order.payment_method.clone());
        self.amount = order.total;
        self.asked_by.placed = Some(asked.id);
        if self.status == Status::Pending {
            // The event that made it says that the gateway was asked.
            self.operation = Some(Operation::Authorize);
            self.started = true;
        }
    }
}

/// Where an event says that its payment is.
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

/// The amount that an event names: the order's total, or 0 where nothing was ever held.
fn amount(event: &PaymentEvent) -> Money {
    match event {
        PaymentEvent::Authorized(PaymentAuthorized { amount, .. })
        | PaymentEvent::Declined(PaymentDeclined { amount, .. })
        | PaymentEvent::Captured(PaymentCaptured { amount, .. })
        | PaymentEvent::CaptureFailed(PaymentCaptureFailed { amount, .. })
        | PaymentEvent::Voided(PaymentVoided { amount, .. })
        | PaymentEvent::Refunded(PaymentRefunded { amount, .. }) => *amount,
    }
}
