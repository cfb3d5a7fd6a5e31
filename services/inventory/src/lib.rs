//! The inventory service owns the catalogue, the stock, and the reservation of each order.
//!
//! It consumes `orders` ([`consumer`]): it reserves the goods of a placed order, all lines or none, commits those of a
//! confirmed order and releases those of a cancelled one. It publishes `reservations` (the answers to each order), `stock`
//! and `products` (the current state of each product). Its HTTP API is [`api`].

mod api;
mod consumer;
mod domain;
mod own;
mod republish;
mod store;

use std::sync::Arc;

use broker::Subscription;
use broker_ops::{History, Waits};
use chassis::{Context, Parts, Service, Wire};
use events::{ORDERS, PRODUCTS, RESERVATIONS, STOCK};

#[cfg(fuzzing)]
pub use api::fuzzing;

/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/inventory");

/// The service as a value; it has no settings of its own.
pub fn service() -> Service {
    Service {
        name: "inventory",
        about: "Keeps the catalogue and the stock, and reserves goods for orders",
        port: 8082,
        migrations: &MIGRATIONS,
        upgrades: &[],
        topics: &[ORDERS, RESERVATIONS, STOCK, PRODUCTS],
        shows: &[],
        wire: Wire::new(wire),
        commands: Vec::new(),
    }
}

fn wire(Context { common, outbox, .. }: Context<()>) -> anyhow::Result<Parts> {
    Ok(Parts {
        api: api::routes(outbox, common.operators()?),
        subscriptions: vec![Subscription::new(consumer::Orders)],
        own: own::subscriptions(),
        compacted: vec![Arc::new(republish::Products), Arc::new(republish::Stock)],
        histories: vec![History::new(republish::Reservations)],
        waits: vec![Waits {
            topic: ORDERS,
            asks: Some(RESERVATIONS),
            find: |pool, waiting| Box::pin(store::reservations::waiting(pool, waiting)),
        }],
        ..Parts::default()
    })
}
