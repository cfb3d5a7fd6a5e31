//! The content of a message whose delivery the database does not have, as far as its events give it. The full content of a message
//! about an order follows when the order's events are read again.

use events::values::{Money, OrderId, Quantity, Sku, SubscriptionId};
use events::{CancelReason, DeliveryFailed, DeliverySent, NotificationKind};
use time::OffsetDateTime;

use crate::domain::content::Content;

/// The content as far as `notification.sent` gives it; `None` when the event lacks what the row needs, as those of earlier versions
/// do.
pub(super) fn of_sent(sent: &DeliverySent) -> Option<Content> {
    let DeliverySent { kind, order_id, sku, subscription_id, restocks, .. } = sent;
    content(*kind, *order_id, sku.as_ref(), *subscription_id, *restocks)
}

/// The content as far as `notification.failed` gives it.
pub(super) fn of_failed(failed: &DeliveryFailed) -> Option<Content> {
    let DeliveryFailed { kind, order_id, sku, subscription_id, restocks, .. } = failed;
    content(*kind, *order_id, sku.as_ref(), *subscription_id, *restocks)
}

fn content(
    kind: NotificationKind,
    order: Option<OrderId>,
    sku: Option<&Sku>,
    subscription: Option<SubscriptionId>,
    restocks: Option<i64>,
) -> Option<Content> {
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
