//! Reads Kafka for the board: the topics with a client that joins no group and commits nothing, and the groups of the services.

mod feed;
mod groups;

use envelope::Topic;

pub(crate) use feed::feed;
pub(crate) use groups::watch_groups;

/// The topics that the board shows: all but `customers`, which carries personal data.
pub(crate) const TOPICS: [Topic; 6] = [
    events::ORDERS,
    events::PAYMENTS,
    events::RESERVATIONS,
    events::STOCK,
    events::PRODUCTS,
    events::NOTIFICATIONS,
];

/// The services that publish them, in the order in which an order reaches them.
pub(crate) const SERVICES: [&str; 4] =
    [events::ORDERS.owner, events::PAYMENTS.owner, events::RESERVATIONS.owner, events::NOTIFICATIONS.owner];
