//! The decisions of the inventory, in pure code: the stock of a product ([`Stock`]), and the effects of an order's events on
//! its reserved goods ([`Warehouse`]). No quantity is ever negative, and nothing gets lost.

#[cfg(test)]
mod properties;
mod recover;
mod reservation;
mod stock;
mod warehouse;

pub(crate) use reservation::{Reservation, Status};
pub(crate) use stock::{MAX_ON_HAND, Stock};
pub(crate) use warehouse::{Contradiction, Shelves, Warehouse};
