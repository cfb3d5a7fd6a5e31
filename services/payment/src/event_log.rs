//! The shop owner's view of the money: one log line per event.

use envelope::Event as _;
use events::{DeclineReason, PaymentEvent};

/// Logs an event; to be called after its commit.
pub(crate) fn log(event: &PaymentEvent, traceparent: Option<&str>) {
    let (order_id, amount, event_type) = (event.order_id(), event.amount(), event.ce_type());
    let (change, reason) = match event {
        PaymentEvent::Authorized(_) => ("payment authorized", None),
        PaymentEvent::Declined(declined) => ("payment declined", Some(in_words(declined.reason))),
        PaymentEvent::Captured(_) => ("payment captured", None),
        PaymentEvent::CaptureFailed(_) => ("payment not captured", None),
        PaymentEvent::Voided(_) => ("payment voided", None),
        PaymentEvent::Refunded(_) => ("payment refunded", None),
    };
    tracing::info!(%order_id, %amount, reason, event_type, traceparent, "{change}");
}

fn in_words(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::CardDeclined => "card declined",
        DeclineReason::InsufficientFunds => "insufficient funds",
        DeclineReason::UnknownMethod => "unknown payment method",
        DeclineReason::Unknown => "unknown",
    }
}
