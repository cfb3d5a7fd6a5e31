//! What the service follows, a fold a topic: load, decide, save; the rest is `broker::Fold`.

mod customers;
mod orders;
mod payments;

use std::sync::Arc;

use broker::Subscription;
use events::Channel;
use tokio::sync::Notify;

/// What every fold is given.
#[derive(Clone)]
pub(crate) struct Consumers {
    /// The channels that each message takes.
    pub channels: Arc<[Channel]>,
    /// Wakes the senders.
    pub wake: Arc<[Arc<Notify>]>,
}

impl Consumers {
    /// A subscription a topic.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        vec![
            Subscription::new(orders::Orders(self.clone())),
            Subscription::new(payments::Payments(self.clone())),
            Subscription::new(customers::Customers(self.clone())),
        ]
    }

    fn wake(&self) {
        for sender in self.wake.iter() {
            sender.notify_one();
        }
    }
}
