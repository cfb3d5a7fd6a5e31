//! The order service: takes orders, decides when payment and inventory have answered, and keeps the customers' contacts.
//!
//! It owns orders, customers and its copy of the catalogue's prices; follows `payments`, `reservations` and `products`;
//! publishes `orders` and `customers`. An order is taken with Postgres alone ([`placing`]), decided by a state machine
//! in pure code ([`domain`]), and moved on by what the others answer ([`consumer`]).

mod announce;
mod api;
mod config;
mod consumer;
mod customers;
mod domain;
mod expiry;
mod history;
mod own;
mod placing;
mod spellings;
mod store;
mod tokens;
mod view;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use broker::{History, Subscription, Waits};
use chassis::{Context, Parts, Service, Task};
use events::{CUSTOMERS, ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use web::Limit;

pub use config::Config;

/// The service's own schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/order");

/// Idempotency keys live 24 hours, give or take this.
const PURGE_INTERVAL: Duration = Duration::from_mins(5);

/// The service.
pub fn service() -> Service<Config> {
    Service {
        name: "order",
        about: "Takes orders, decides when payment and inventory have answered, and keeps the customers' contacts",
        port: 8080,
        migrations: &MIGRATIONS,
        upgrades: &[spellings::UPGRADE],
        topics: &[ORDERS, CUSTOMERS, PAYMENTS, RESERVATIONS, PRODUCTS],
        wire,
        commands: Vec::new(),
    }
}

fn wire(Context { config, common, outbox }: Context<Config>) -> anyhow::Result<Parts> {
    announce::describe();
    let (placing, writer) = placing::start(outbox.clone(), config.order_expires_after);
    let api = api::routes(api::Api {
        outbox: outbox.clone(),
        placing,
        tokens: tokens::Tokens::new(config.token_key.keys()?),
        admin: common.operators()?,
        limit: NonZeroU32::new(config.orders_per_client_per_minute)
            .map(|count| Arc::new(Limit::per_minute(count))),
        wishes: NonZeroU32::new(config.notify_me_per_client_per_hour)
            .map(|count| Arc::new(Limit::per_hour(count))),
    });
    let pool = outbox.pool().clone();
    Ok(Parts {
        api,
        subscriptions: vec![
            Subscription::new(consumer::Payments),
            Subscription::new(consumer::Reservations),
            Subscription::new(consumer::Products),
        ],
        // Customers first: orders name them.
        own: vec![
            Subscription::new(own::Customers),
            Subscription::new(own::Orders { patience: config.order_expires_after }),
        ],
        compacted: vec![Arc::new(customers::Customers)],
        histories: vec![History::new(history::Orders)],
        waits: vec![
            Waits {
                topic: PAYMENTS,
                asks: Some(ORDERS),
                find: |pool, waiting| Box::pin(store::waiting::for_payments(pool, waiting)),
            },
            Waits {
                topic: RESERVATIONS,
                asks: Some(ORDERS),
                find: |pool, waiting| Box::pin(store::waiting::for_reservations(pool, waiting)),
            },
        ],
        tasks: vec![
            Task::new("placing", move |stop| writer.run(stop)).serving(),
            Task::new("expiry", move |stop| expiry::run(outbox, config.order_expires_after, stop)),
            Task::new("purge", move |stop| purge(pool, stop)),
        ],
    })
}

/// Forgets old idempotency keys.
async fn purge(pool: PgPool, stop: CancellationToken) {
    let turn = || async { web::idempotency::purge(&pool).await.map(drop) };
    work::every("purge", PURGE_INTERVAL, &Notify::new(), stop, turn).await;
}
