//! What was published of a payment, rebuilt from its row.

use envelope::Sequence;
use events::{
    DeclineReason, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent,
    PaymentRefunded,
};
use time::OffsetDateTime;

use super::{Entry, Payment};

impl Payment {
    /// The events that were published of this payment, each with its sequence and its time; `history` is its whole history.
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

    /// The event that a line of the history is about; `None`: it was the order's.
    fn event(&self, entry: &Entry) -> Option<PaymentEvent> {
        let (order_id, amount) = (self.order_id, self.amount);
        Some(match entry.event_type.as_str() {
            AUTHORIZED => {
                let gateway_id = self.gateway_id.clone();
                PaymentEvent::Authorized(PaymentAuthorized { order_id, amount, gateway_id })
            }
            DECLINED => {
                // An earlier version did not keep the reason.
                let reason = entry.reason.unwrap_or(DeclineReason::Unknown);
                PaymentEvent::Declined(PaymentDeclined { order_id, amount, reason })
            }
            CAPTURED => PaymentEvent::Captured(PaymentCaptured { order_id, amount }),
            CAPTURE_FAILED => PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, amount }),
            // At most once, and after that nothing is authorized: the amount is what it was then.
            VOIDED => self.voided(),
            REFUNDED => PaymentEvent::Refunded(PaymentRefunded { order_id, amount }),
            _ => return None,
        })
    }
}

const AUTHORIZED: &str = "payment.authorized.v1";
const DECLINED: &str = "payment.declined.v1";
const CAPTURED: &str = "payment.captured.v1";
const CAPTURE_FAILED: &str = "payment.capture_failed.v1";
const VOIDED: &str = "payment.voided.v1";
const REFUNDED: &str = "payment.refunded.v1";

/// The type of an event, as the history has it.
pub(super) fn type_of(event: &PaymentEvent) -> &'static str {
    match event {
        PaymentEvent::Authorized(_) => AUTHORIZED,
        PaymentEvent::Declined(_) => DECLINED,
        PaymentEvent::Captured(_) => CAPTURED,
        PaymentEvent::CaptureFailed(_) => CAPTURE_FAILED,
        PaymentEvent::Voided(_) => VOIDED,
        PaymentEvent::Refunded(_) => REFUNDED,
    }
}
