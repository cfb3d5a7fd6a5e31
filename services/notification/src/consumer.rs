//! One handler per topic that the service consumes: load, handle, save.

mod customers;
mod orders;
mod payments;
mod products;
mod stock;

use broker::Subscription;

use crate::config::OrderConsent;
use crate::delivery::announce::Announcer;
use crate::waitlist::addressing::Addressing;
use crate::wakes::Wakes;

/// The common state of the handlers.
#[derive(Clone)]
pub(crate) struct Consumers {
    /// Makes the messages about orders due.
    pub announcer: Announcer,
    pub wakes: Wakes,
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
}
