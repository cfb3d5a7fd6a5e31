//! What is worth a message: an order's outcome, and money that went back.

use events::values::CustomerId;
use events::{OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, PaymentEvent, PaymentRefunded};

use super::content::{Content, Short};

/// Whose order it is: every event of an order says so.
pub(crate) fn customer(event: &OrderEvent) -> CustomerId {
    match event {
        OrderEvent::Placed(OrderPlaced { customer_id, .. })
        | OrderEvent::Confirmed(OrderConfirmed { customer_id, .. })
        | OrderEvent::Cancelled(OrderCancelled { customer_id, .. }) => *customer_id,
    }
}

/// What the customer is told of an order's event. Placing is not told: the outcome follows within moments.
pub(crate) fn of_order(event: &OrderEvent) -> Option<Content> {
    match event {
        OrderEvent::Placed(_) => None,
        OrderEvent::Confirmed(OrderConfirmed { order_id, items, total, .. }) => {
            Some(Content::OrderConfirmed { order_id: *order_id, items: items.clone(), total: *total })
        }
        OrderEvent::Cancelled(cancelled) => Some(Content::OrderCancelled {
            order_id: cancelled.order_id,
            reason: cancelled.reason,
            items: cancelled.items.clone(),
            total: cancelled.total,
            short: Short::named(&cancelled.short, &cancelled.items),
            notify_me: cancelled.notify_me,
        }),
    }
}

/// What the customer is told of a payment's event: only that money went back.
pub(crate) fn of_payment(event: &PaymentEvent) -> Option<Content> {
    match event {
        PaymentEvent::Refunded(PaymentRefunded { order_id, amount }) => {
            Some(Content::OrderRefunded { order_id: *order_id, amount: *amount })
        }
        _ => None,
    }
}
