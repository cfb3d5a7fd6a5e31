//! The state of the topics as the board has read it, in bounded memory; no I/O.

mod catalogue;
mod event;
mod frame;
mod groups;
mod history;
mod mask;
mod model;
mod order;
mod rates;

use envelope::Topic;

pub(crate) use catalogue::Offer;
pub(crate) use event::{Event, Shown, shown};
pub(crate) use groups::{Group, SeenGroup};
pub(crate) use model::{Model, TopicInfo};
pub(crate) use order::stations;

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
