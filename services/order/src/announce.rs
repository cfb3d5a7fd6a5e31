//! What a shop owner wants to know of an order: a log line and a count for each change of its status, once it is
//! committed and not before.

use events::values::{Money, OrderId};

use crate::domain::{Order, Status};

/// A change of an order's status.
#[derive(Debug)]
pub(crate) struct Announcement {
    order_id: OrderId,
    status: Status,
    total: Money,
    traceparent: Option<String>,
}

impl Announcement {
    /// That the status of `order` is what it is now, as part of this trace.
    pub(crate) fn of(order: &Order, traceparent: Option<String>) -> Self {
        Self { order_id: order.id(), status: order.state.status, total: order.placed.total, traceparent }
    }

    /// Tells it. To be called after the commit.
    pub(crate) fn make(self) {
        let Self { order_id, status, total, traceparent } = self;
        let reason = match status {
            Status::Placed => {
                tracing::info!(%order_id, %total, event_type = "order.placed.v1", traceparent, "order placed");
                None
            }
            Status::Confirmed => {
                tracing::info!(%order_id, %total, event_type = "order.confirmed.v1", traceparent, "order confirmed");
                None
            }
            Status::Cancelled(reason) => {
                let (event_type, reason_word) = ("order.cancelled.v1", <&str>::from(reason));
                tracing::info!(%order_id, %total, reason = reason_word, event_type, traceparent, "order cancelled");
                Some(reason)
            }
        };
        let reason = reason.map_or("", <&str>::from);
        metrics::counter!("orders_total", "status" => <&str>::from(status), "reason" => reason).increment(1);
    }
}

/// Describes what is counted.
pub(crate) fn describe() {
    metrics::describe_counter!("orders_total", "Orders that came to a status, by status and reason.");
    metrics::describe_counter!(
        "wishes_dropped_total",
        "Orders whose wish to be told was not taken with them, by reason: client_limit."
    );
}
