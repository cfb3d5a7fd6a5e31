//! The payment service: authorizes an order's amount when the order is placed, captures it when the order is confirmed,
//! and voids or refunds it when the order is cancelled.
//!
//! It owns the payments, consumes `orders` and publishes `payments`. The consumer moves the goal of each payment, and the
//! [`worker`](mod@worker) calls the gateway until the goal is reached, outside any transaction; [`domain`] decides which
//! call is next and what its outcome means. The gateway is simulated and has a ledger of its own.

mod api;
mod config;
mod consumer;
mod domain;
mod event_log;
mod gateway;
mod own;
mod republish;
mod store;
mod worker;

use std::sync::Arc;

use broker::Subscription;
use broker_ops::{History, Waits};
use chassis::{Context, Parts, Service, Task, Wire};
use events::{ORDERS, PAYMENTS};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;

use crate::api::Api;
use crate::consumer::Orders;
use crate::gateway::Gateway;

pub use config::Config;

/// The schema: the service's tables, and the ledger of the simulated gateway.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/payment");

/// The service as a value.
pub fn service() -> Service {
    Service {
        name: "payment",
        about: "Authorizes, captures and reverses the payments of orders",
        port: 8081,
        migrations: &MIGRATIONS,
        upgrades: &[],
        topics: &[ORDERS, PAYMENTS],
        shows: &[],
        wire: Wire::new(wire),
        commands: Vec::new(),
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    let Context { config, common, outbox } = context;
    let pool = outbox.pool().clone();
    let gateway = Gateway::new(pool.clone(), config.gateway_latency);
    let wake = Arc::new(Notify::new());
    let worker = worker::worker(outbox, gateway.clone(), Arc::clone(&wake));
    let stalled = worker.stalled();
    Ok(Parts {
        api: api::routes(Api { pool, gateway, admin_token: common.operators()? }),
        subscriptions: vec![Subscription::new(Orders { wake, hand_over: worker.hand_over() })],
        own: vec![Subscription::new(own::Payments)],
        histories: vec![History::new(republish::Payments)],
        waits: vec![Waits {
            topic: ORDERS,
            asks: Some(PAYMENTS),
            find: |pool, waiting| Box::pin(store::waiting(pool, waiting)),
        }],
        tasks: vec![Task::new("worker", |stop| worker.run(stop)).watched_by(stalled)],
        ..Parts::default()
    })
}
