//! Whether the stock levels are fresh enough to notify subscribers. After an outage they are not: no wave may choose by old
//! levels, and no message that was queued before may go out, until topic `stock` is read to its end and a wave has looked at
//! every product that is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker_ops::CaughtUp;

/// Shared by the waves, which look at the products, and the senders, which wait for that.
#[derive(Debug)]
pub(crate) struct Freshness {
    caught_up: Arc<CaughtUp>,
    waves_done: AtomicBool,
}

impl Freshness {
    pub(crate) fn new(caught_up: Arc<CaughtUp>) -> Self {
        Self { caught_up, waves_done: AtomicBool::new(false) }
    }

    /// The levels are as new as the log: waves may run.
    pub(crate) fn allows_waves(&self) -> bool {
        let current = self.caught_up.is_current();
        if !current {
            self.waves_done.store(false, Ordering::Relaxed);
        }
        current
    }

    /// Records that no product is due any more; `true` when that is the first time since the levels are current.
    pub(crate) fn record_waves_done(&self) -> bool {
        !self.waves_done.swap(true, Ordering::Relaxed)
    }

    /// Queued "back in stock" messages may be sent.
    pub(crate) fn allows_sending(&self) -> bool {
        self.waves_done.load(Ordering::Relaxed) && self.caught_up.is_current()
    }
}
