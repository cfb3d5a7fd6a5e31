//! What a shop owner wants to know of the money: a line in the log an event.

use events::{DeclineReason, PaymentEvent};

/// Tells of an event that was published.
pub(crate) fn announce(event: &PaymentEvent) {
    let order_id = event.order_id();
    match event {
        PaymentEvent::Authorized(event) => {
            tracing::info!(%order_id, amount = %event.amount, "payment authorized");
        }
        PaymentEvent::Declined(event) => {
            let reason = why(event.reason);
            tracing::info!(%order_id, amount = %event.amount, reason, "payment declined");
        }
        PaymentEvent::Captured(event) => {
            tracing::info!(%order_id, amount = %event.amount, "payment captured");
        }
        PaymentEvent::CaptureFailed(event) => {
            tracing::info!(%order_id, amount = %event.amount, "payment not captured");
        }
        PaymentEvent::Voided(event) => tracing::info!(%order_id, amount = %event.amount, "payment voided"),
        PaymentEvent::Refunded(event) => {
            tracing::info!(%order_id, amount = %event.amount, "payment refunded");
        }
    }
}

fn why(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::CardDeclined => "card declined",
        DeclineReason::InsufficientFunds => "insufficient funds",
        DeclineReason::UnknownMethod => "unknown payment method",
        DeclineReason::Unknown => "unknown",
    }
}
