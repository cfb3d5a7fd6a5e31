//! What the service follows, a fold a topic: load, decide, save; the rest is `broker::Handler`.

mod customers;
mod orders;
mod payments;
mod products;
mod stock;

use std::sync::Arc;

use broker::{Subscription, Tx};
use events::Channel;
use tokio::sync::Notify;

use crate::config::OrderConsent;
use crate::notify_me::adopt::Adoption;

/// What every fold is given.
#[derive(Clone)]
pub(crate) struct Consumers {
    /// The channels that each message takes.
    pub channels: Arc<[Channel]>,
    /// Wakes the senders.
    pub senders: Arc<[Arc<Notify>]>,
    /// Wakes the waves.
    pub waves: Arc<Notify>,
    /// Gives orders' wishes their addresses.
    pub adoption: Adoption,
    /// Whether an order's word is enough to subscribe.
    pub consent: OrderConsent,
}

impl Consumers {
    /// A subscription a topic.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        vec![
            Subscription::new(orders::Orders(self.clone())),
            Subscription::new(payments::Payments(self.clone())),
            Subscription::new(customers::Customers(self.clone())),
            Subscription::new(stock::Stock(self.clone())),
            Subscription::new(products::Catalogue(self.clone())),
        ]
    }

    /// Wakes the senders once this is committed.
    fn wake_senders_on(&self, tx: &mut Tx) {
        let senders = Arc::clone(&self.senders);
        tx.on_commit(move || senders.iter().for_each(|sender| sender.notify_one()));
    }

    /// Wakes the waves once this is committed.
    fn wake_waves_on(&self, tx: &mut Tx) {
        let waves = Arc::clone(&self.waves);
        tx.on_commit(move || waves.notify_one());
    }
}
