//! What the inventory decides, in pure code: how much there is of a product ([`Stock`]), and what an order's events do
//! to the goods that are set aside for it ([`Warehouse`]). Nothing is ever below zero, and nothing gets lost.

#[cfg(test)]
mod properties;
mod recover;
mod reservation;
mod stock;
mod warehouse;

pub(crate) use reservation::{Reservation, Status};
pub(crate) use stock::{MAX_ON_HAND, Stock};
pub(crate) use warehouse::{Contradiction, Shelves, Warehouse};
