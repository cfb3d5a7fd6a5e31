//! The topics that the inventory owns, read by their publisher: they bring a database that was restored from an older
//! copy to where the published events say it was.
//!
//! They are rolled forward in the order of [`subscriptions`]: a product has its shelf when its reservations are counted,
//! and a level on the shelf is held against all that is promised.

mod products;
mod reservations;
mod stock;

use broker::Subscription;

/// A fold a topic, in the order in which a restored database needs them.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![
        Subscription::new(products::Products),
        Subscription::new(reservations::Reservations),
        Subscription::new(stock::Levels),
    ]
}
