//! The published events of a payment, rebuilt from its row.

use envelope::{Event as _, Sequence};
use events::{
    DeclineReason, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent,
    PaymentRefunded,
};
use time::OffsetDateTime;

use super::{Entry, Payment};

impl Payment {
    /// Returns the published events, each with its sequence and its time; `history` is the payment's whole history.
    pub fn published(&self, history: &[Entry]) -> Vec<(Sequence, OffsetDateTime, PaymentEvent)> {
        let mut sequence = Sequence::NONE;
        let mut events = Vec::new();
        for entry in history {
            let Some(event) = self.event(entry) else { continue };
            sequence = sequence.next();
            events.push((sequence, entry.at, event));
        }
        events
    }

    /// Returns the payment's event that a history entry is about; `None` for an event of the order.
    fn event(&self, entry: &Entry) -> Option<PaymentEvent> {
        let (order_id, amount) = (self.order_id, self.amount);
        let gateway_id = self.gateway_id.clone();
        // An earlier version did not store the reason.
        let reason = entry.reason.unwrap_or(DeclineReason::Unknown);
        let possible = [
            PaymentEvent::Authorized(PaymentAuthorized { order_id, amount, gateway_id }),
            PaymentEvent::Declined(PaymentDeclined { order_id, amount, reason }),
            PaymentEvent::Captured(PaymentCaptured { order_id, amount }),
            PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, amount }),
            // Nothing is authorized after a void, so the amount is still what it was then.
            self.voided(),
            PaymentEvent::Refunded(PaymentRefunded { order_id, amount }),
        ];
        possible.into_iter().find(|event| event.ce_type() == entry.event_type)
    }
}
