//! The inventory service owns the catalogue, the stock, and the reservation of each order.
//!
//! It consumes `orders` ([`consumer`]): it reserves the goods of a placed order, all lines or none, commits those of a
//! confirmed order and releases those of a cancelled one. It publishes `reservations` (the answers to each order), `stock`
//! and `products` (the current state of each product). Its HTTP API is [`api`].

mod api;
mod config;
mod consumer;
mod domain;
mod own;
mod republish;
mod store;

use std::sync::Arc;
use std::time::Duration;

use broker::Subscription;
use broker_ops::{History, Waits};
use chassis::{Context, Parts, Service, Task};
use events::{ORDERS, PRODUCTS, RESERVATIONS, STOCK};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[cfg(fuzzing)]
pub use api::fuzzing;
pub use config::Config;

/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/inventory");

/// The time between two purges of idempotency keys.
const PURGE: Duration = Duration::from_mins(10);

/// The service as a value.
pub fn service() -> Service<Config> {
    Service {
        name: "inventory",
        about: "Keeps the catalogue and the stock, and reserves goods for orders",
        port: 8082,
        migrations: &MIGRATIONS,
        upgrades: &[],
        topics: &[ORDERS, RESERVATIONS, STOCK, PRODUCTS],
        shows: &[],
        wire,
        commands: Vec::new(),
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    let Context { common, outbox, .. } = context;
    let pool = outbox.pool().clone();
    let purge = Task::new("purge of idempotency keys", |stop| purge(pool, stop));
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
        tasks: vec![purge],
    })
}

async fn purge(pool: PgPool, stop: CancellationToken) {
    let delete_old = || {
        let pool = pool.clone();
        async move { web::idempotency::purge(&pool).await.map(drop) }
    };
    work::every("purge of idempotency keys", PURGE, &Notify::new(), stop, delete_old).await;
}
