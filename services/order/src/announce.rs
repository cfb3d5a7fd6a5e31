//! What a shop owner wants to know of an order: a log line and a count for each change of its status, once it is
//! committed and not before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use events::CancelReason;
use events::values::{Money, OrderId};

use crate::domain::{Order, Status, Word};

/// A change of an order's status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announcement {
    order_id: OrderId,
    status: Status,
    total: Money,
}

impl From<&Order> for Announcement {
    fn from(order: &Order) -> Self {
        Self { order_id: order.id(), status: order.state.status, total: order.placed.total }
    }
}

impl Announcement {
    /// Tells it. To be called after the commit.
    pub(crate) fn make(self) {
        let Self { order_id, status, total } = self;
        let reason = match status {
            Status::Placed => {
                tracing::info!(%order_id, %total, "order placed");
                None
            }
            Status::Confirmed => {
                tracing::info!(%order_id, %total, "order confirmed");
                None
            }
            Status::Cancelled(reason) => {
                tracing::info!(%order_id, %total, reason = reason.word(), "order cancelled");
                Some(reason)
            }
        };
        let reason = reason.map_or("", CancelReason::word);
        metrics::counter!("orders_total", "status" => status.word(), "reason" => reason).increment(1);
    }
}

/// Describes what is counted.
pub(crate) fn describe() {
    metrics::describe_counter!("orders_total", "Orders that came to a status, by status and reason.");
}

/// What a batch decided, until it is committed.
#[derive(Default)]
pub(crate) struct Announcements(Mutex<Vec<Announcement>>);

impl Announcements {
    /// A batch begins; what another decided before was rolled back.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    /// The order's status has changed.
    pub(crate) fn add(&self, order: &Order) {
        self.lock().push(order.into());
    }

    /// The batch is committed.
    pub(crate) fn make(&self) {
        self.lock().drain(..).for_each(Announcement::make);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Announcement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
