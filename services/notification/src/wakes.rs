//! Wakes the workers of this instance as soon as they have work. Those of other instances look for it at intervals.

use std::sync::Arc;

use broker::Tx;
use tokio::sync::Notify;

/// One signal per worker.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    /// The senders; that of a channel that is off is never waited for.
    pub log: Arc<Notify>,
    pub smtp: Arc<Notify>,
    pub waves: Arc<Notify>,
    /// The worker that handles subscription requests.
    pub requests: Arc<Notify>,
}

impl Wakes {
    pub(crate) fn senders(&self) {
        self.log.notify_one();
        self.smtp.notify_one();
    }

    /// Wakes the senders after the commit.
    pub(crate) fn senders_after(&self, tx: &mut Tx) {
        let wakes = self.clone();
        tx.on_commit(move || wakes.senders());
    }

    /// Wakes the waves after the commit.
    pub(crate) fn waves_after(&self, tx: &mut Tx) {
        let waves = Arc::clone(&self.waves);
        tx.on_commit(move || waves.notify_one());
    }
}
