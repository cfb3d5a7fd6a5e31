//! The shop owner's view of the orders: a log line and a count for each change of a status.

use broker::{AppendError, Cause, Tx};
use envelope::Event as _;
use events::OrderEvent;
use events::values::{Money, OrderId};

use crate::domain::{Order, Status};

/// A change of an order's status; to be logged after its commit.
#[derive(Debug)]
pub(crate) struct StatusChange {
    order_id: OrderId,
    status: Status,
    event_type: &'static str,
    total: Money,
    traceparent: Option<String>,
}

impl StatusChange {
    /// The change of `order` to its present status, which `event` publishes.
    pub(crate) fn new(order: &Order, event: &OrderEvent, traceparent: Option<String>) -> Self {
        let (order_id, status, total) = (order.id(), order.state.status, order.placed.total);
        Self { order_id, status, event_type: event.ce_type(), total, traceparent }
    }

    pub(crate) fn log(self) {
        let Self { order_id, status, event_type, total, traceparent } = self;
        let reason = match status {
            Status::Placed | Status::Confirmed => None,
            Status::Cancelled(reason) => Some(<&str>::from(reason)),
        };
        let status = <&str>::from(status);
        tracing::info!(%order_id, %total, reason, event_type, traceparent, "order {status}");
        metrics::counter!("orders_total", "status" => status, "reason" => reason.unwrap_or_default())
            .increment(1);
    }
}

/// Appends the `event` that publishes a change of status by a request or a timer, and logs the change after the commit.
pub(crate) fn publish(
    tx: &mut Tx,
    order: &Order,
    event: &OrderEvent,
    traceparent: Option<String>,
) -> Result<(), AppendError> {
    let change = StatusChange::new(order, event, traceparent.clone());
    tx.append(Cause::traced(traceparent), order.version, event)?;
    tx.on_commit(move || change.log());
    Ok(())
}

pub(crate) fn describe() {
    metrics::describe_counter!("orders_total", "Orders that reached a status, by status and reason.");
    metrics::describe_counter!(
        "wishes_dropped_total",
        "Orders whose notify_me was ignored, by reason: client_limit."
    );
}
