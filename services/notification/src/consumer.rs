//! One handler per topic that the service consumes: load, handle, save.

mod customers;
mod orders;
mod payments;
mod products;
mod stock;

use std::sync::Arc;

use broker::{Subscription, Tx};
use tokio::sync::Notify;

use crate::config::OrderConsent;
use crate::delivery::announce::Announcer;
use crate::waitlist::addressing::Addressing;

/// The common state of the handlers.
#[derive(Clone)]
pub(crate) struct Consumers {
    /// Makes the messages about orders due.
    pub announcer: Announcer,
    /// Wakes the senders.
    pub senders: Arc<[Arc<Notify>]>,
    /// Wakes the waves.
    pub waves: Arc<Notify>,
    pub addressing: Addressing,
    /// Whether an order's consent is enough to subscribe.
    pub consent: OrderConsent,
}

impl Consumers {
    /// One subscription per topic.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        vec![
            Subscription::new(orders::Orders(self.clone())),
            Subscription::new(payments::Payments(self.clone())),
            Subscription::new(customers::Customers(self.clone())),
            Subscription::new(stock::Stock(self.clone())),
            Subscription::new(products::Catalogue(self.clone())),
        ]
    }

    /// Wakes the senders after the commit.
    fn wake_senders_on(&self, tx: &mut Tx) {
        let senders = Arc::clone(&self.senders);
        tx.on_commit(move || senders.iter().for_each(|sender| sender.notify_one()));
    }

    /// Wakes the waves after the commit.
    fn wake_waves_on(&self, tx: &mut Tx) {
        let waves = Arc::clone(&self.waves);
        tx.on_commit(move || waves.notify_one());
    }
}
