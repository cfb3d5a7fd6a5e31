//! Whether what is known of the stock is new enough to tell people. After an outage it is not: neither may a wave choose
//! by old levels, nor may a message that was queued before go out, until the log was read to its end and a wave has
//! looked at what stands there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker_ops::CaughtUp;

/// Shared by the waves, which look, and the senders, which wait for that.
#[derive(Debug)]
pub(crate) struct News {
    caught_up: Arc<CaughtUp>,
    looked: AtomicBool,
}

impl News {
    pub(crate) fn new(caught_up: Arc<CaughtUp>) -> Self {
        Self { caught_up, looked: AtomicBool::new(false) }
    }

    /// The levels are as new as the log: waves may look.
    pub(crate) fn are_read(&self) -> bool {
        let current = self.caught_up.is_current();
        if !current {
            self.looked.store(false, Ordering::Relaxed);
        }
        current
    }

    /// Every product that was due has been looked at; `true`: for the first time since.
    pub(crate) fn are_looked_at(&self) -> bool {
        !self.looked.swap(true, Ordering::Relaxed)
    }

    /// Who is being told may be told.
    pub(crate) fn may_be_told(&self) -> bool {
        self.looked.load(Ordering::Relaxed) && self.caught_up.is_current()
    }
}
