//! What a shop owner wants to know of the money: a line in the log an event.

use events::{DeclineReason, PaymentEvent};

/// Tells of an event, once it is committed.
pub(crate) fn announce(event: &PaymentEvent, traceparent: Option<&str>) {
    let order_id = event.order_id();
    match event {
        PaymentEvent::Authorized(event) => {
            let (amount, event_type) = (event.amount, "payment.authorized.v1");
            tracing::info!(%order_id, %amount, event_type, traceparent, "payment authorized");
        }
        PaymentEvent::Declined(event) => {
            let (amount, reason, event_type) = (event.amount, why(event.reason), "payment.declined.v1");
            tracing::info!(%order_id, %amount, reason, event_type, traceparent, "payment declined");
        }
        PaymentEvent::Captured(event) => {
            let (amount, event_type) = (event.amount, "payment.captured.v1");
            tracing::info!(%order_id, %amount, event_type, traceparent, "payment captured");
        }
        PaymentEvent::CaptureFailed(event) => {
            let (amount, event_type) = (event.amount, "payment.capture_failed.v1");
            tracing::info!(%order_id, %amount, event_type, traceparent, "payment not captured");
        }
        PaymentEvent::Voided(event) => {
            let (amount, event_type) = (event.amount, "payment.voided.v1");
            tracing::info!(%order_id, %amount, event_type, traceparent, "payment voided");
        }
        PaymentEvent::Refunded(event) => {
            let (amount, event_type) = (event.amount, "payment.refunded.v1");
            tracing::info!(%order_id, %amount, event_type, traceparent, "payment refunded");
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
