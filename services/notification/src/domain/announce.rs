//! Which events become a message to the customer: an order's outcome, and a refund.

use events::values::CustomerId;
use events::{OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, PaymentEvent, PaymentRefunded};

use super::content::{Content, ShortItem};

/// The customer of an order, which every event of the order names.
pub(crate) fn customer(event: &OrderEvent) -> CustomerId {
    match event {
        OrderEvent::Placed(OrderPlaced { customer_id, .. })
        | OrderEvent::Confirmed(OrderConfirmed { customer_id, .. })
        | OrderEvent::Cancelled(OrderCancelled { customer_id, .. }) => *customer_id,
    }
}

/// The message for an order's event. A placed order gets none: the outcome follows within moments.
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
            short: ShortItem::named(&cancelled.short, &cancelled.items),
            notify_me: cancelled.notify_me,
        }),
    }
}

/// The message for a payment's event. Only a refund gets one.
pub(crate) fn of_payment(event: &PaymentEvent) -> Option<Content> {
    match event {
        PaymentEvent::Refunded(PaymentRefunded { order_id, amount }) => {
            Some(Content::OrderRefunded { order_id: *order_id, amount: *amount })
        }
        PaymentEvent::Authorized(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::Voided(_) => None,
    }
}
