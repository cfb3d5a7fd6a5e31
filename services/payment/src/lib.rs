//! The payment service: holds an order's money when it is placed, takes it when it is confirmed, and gives it back when
//! it is cancelled.
//!
//! It owns the payments and follows `orders`; what becomes of the money it tells on `payments`. The consumer moves
//! each payment's goal and the [`worker`](mod@worker) asks the gateway until it is reached, outside any transaction;
//! [`domain`] decides what is asked and what an outcome means. The gateway is simulated; its books are its own.

mod announce;
mod api;
mod config;
mod consumer;
pub mod domain;
mod gateway;
mod history;
mod own;
mod store;
mod worker;

use std::sync::Arc;

use broker::{History, Subscription, Waits};
use chassis::{Context, Parts, Service, Task};
use events::{ORDERS, PAYMENTS};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;

use crate::api::Api;
use crate::consumer::Orders;
use crate::gateway::Books;

pub use config::Config;

/// The schema: the service's tables, and the books of the simulated gateway.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/payment");

/// The service as a value.
pub fn service() -> Service<Config> {
    Service {
        name: "payment",
        about: "Authorizes, captures and reverses the payments of orders",
        port: 8081,
        migrations: &MIGRATIONS,
        upgrades: &[],
        topics: &[ORDERS, PAYMENTS],
        wire,
        commands: Vec::new(),
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    let Context { config, common, outbox } = context;
    let pool = outbox.pool().clone();
    let (gateway, remote) = gateway::connect(pool.clone(), config.gateway_latency);
    let wake = Arc::new(Notify::new());
    let worker = worker::worker(outbox, gateway, Arc::clone(&wake));
    let stalled = worker.stalled();
    let api = Api { books: Books::new(pool.clone()), pool, admin_token: common.operators()? };
    Ok(Parts {
        api: api::routes(api),
        subscriptions: vec![Subscription::new(Orders { wake })],
        own: vec![Subscription::new(own::Payments)],
        histories: vec![History::new(history::Payments)],
        waits: vec![Waits {
            topic: ORDERS,
            asks: Some(PAYMENTS),
            find: |pool, waiting| Box::pin(store::waiting(pool, waiting)),
        }],
        tasks: vec![
            Task::new("worker", |stop| worker.run(stop)).watched_by(stalled),
            // It answers until nobody asks any more.
            Task::new("gateway", |_| remote.run()).serving(),
        ],
        ..Parts::default()
    })
}
