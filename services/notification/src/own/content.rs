//! The content of a message whose delivery the database does not have, as far as its events give it. The full content of a message
//! about an order follows when the order's events are read again.

use events::values::{Money, Quantity};
use events::{CancelReason, Delivery, NotificationKind};
use time::OffsetDateTime;

use crate::domain::content::Content;

/// The content as far as an event gives it; `None` when the event lacks what the row needs, as those of earlier versions do.
pub(super) fn of(delivery: &Delivery) -> Option<Content> {
    let &Delivery { kind, order_id: order, subscription_id: subscription, restocks, .. } = delivery;
    let sku = delivery.sku.as_ref();
    // A placeholder until the refund is read again.
    let nothing = Money::zero("EUR".parse().ok()?);
    let (items, name) = (Vec::new(), sku.map(ToString::to_string));
    let one = Quantity::try_from(1).ok()?;
    Some(match kind {
        NotificationKind::OrderConfirmed => {
            Content::OrderConfirmed { order_id: order?, items, total: nothing }
        }
        NotificationKind::OrderCancelled => Content::OrderCancelled {
            order_id: order?,
            reason: CancelReason::Unknown,
            items,
            total: nothing,
            short: Vec::new(),
            notify_me: false,
        },
        NotificationKind::OrderRefunded => Content::OrderRefunded { order_id: order?, amount: nothing },
        NotificationKind::ConfirmSubscription => Content::ConfirmSubscription {
            subscription_id: subscription?,
            sku: sku?.clone(),
            name: name?,
            quantity: one,
            round: 0,
            until: OffsetDateTime::UNIX_EPOCH,
        },
        NotificationKind::BackInStock => Content::BackInStock {
            subscription_id: subscription?,
            sku: sku?.clone(),
            name: name?,
            price: nothing,
            quantity: one,
            restocks: restocks?,
        },
        NotificationKind::Unknown => return None,
    })
}
