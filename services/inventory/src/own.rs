//! The topics that the inventory owns, read by their publisher: they roll a database that was restored from an older copy
//! forward to its published events.
//!
//! The order of [`subscriptions`] matters: a product gets its stock row before its reservations are counted, and its level
//! is compared with all reservations.

mod products;
mod reservations;
mod stock;

use broker::Subscription;

/// One handler per topic, in the order in which a restored database needs them.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![
        Subscription::new(products::Products),
        Subscription::new(reservations::Reservations),
        Subscription::new(stock::Levels),
    ]
}
