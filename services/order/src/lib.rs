//! The order service: takes orders, decides when payment and inventory have answered, and keeps the customers' contacts.
//!
//! It owns the orders, the customers and a copy of the catalogue's prices; consumes `payments`, `reservations` and
//! `products`; publishes `orders` and `customers`. Taking an order needs Postgres alone ([`group_commit`]). A state machine
//! in pure code decides ([`domain`]) when the other services' events arrive ([`consumer`]).

mod api;
mod config;
mod consumer;
mod domain;
mod expiry;
mod group_commit;
mod own;
mod republish;
mod spellings;
mod status_log;
mod store;
mod tokens;
mod view;

use std::num::NonZeroU32;
use std::sync::Arc;

use broker::Subscription;
use broker_ops::{History, Waits};
use chassis::{Context, Parts, Service, Task, Wire};
use events::{CUSTOMERS, ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS};
use sqlx::migrate::Migrator;
use web::Limit;

#[cfg(fuzzing)]
pub use api::fuzzing;
pub use config::Config;
pub use domain::machine;

/// The service's own schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/order");

/// The service as a value.
pub fn service() -> Service {
    Service {
        name: "order",
        about: "Takes orders, decides when payment and inventory have answered, and keeps the customers' contacts",
        port: 8080,
        migrations: &MIGRATIONS,
        upgrades: &[spellings::UPGRADE],
        topics: &[ORDERS, CUSTOMERS, PAYMENTS, RESERVATIONS, PRODUCTS],
        shows: &[],
        wire: Wire::new(wire),
        commands: Vec::new(),
    }
}

fn wire(Context { config, common, outbox }: Context<Config>) -> anyhow::Result<Parts> {
    status_log::describe();
    let expires_after = config.order_expires_after;
    let (group_commit, writer) = group_commit::new(outbox.clone(), expires_after);
    let api = api::routes(api::Api {
        outbox: outbox.clone(),
        group_commit,
        tokens: tokens::Tokens::new(config.token_key.keys()?),
        admin: common.operators()?,
        order_limit: NonZeroU32::new(config.orders_per_client_per_minute)
            .map(|count| Arc::new(Limit::per_minute(count))),
        notify_me_limit: NonZeroU32::new(config.notify_me_per_client_per_hour)
            .map(|count| Arc::new(Limit::per_hour(count))),
    });
    Ok(Parts {
        api,
        subscriptions: vec![
            Subscription::new(consumer::PAYMENTS),
            Subscription::new(consumer::RESERVATIONS),
            Subscription::new(consumer::Products),
        ],
        // Customers first: orders refer to them.
        own: vec![Subscription::new(own::Customers), Subscription::new(own::Orders { expires_after })],
        compacted: vec![Arc::new(republish::Customers)],
        histories: vec![History::new(republish::Orders)],
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
            Task::new("group commit", move |stop| writer.run(stop)).serving(),
            Task::every("expiry", expiry::INTERVAL, move || {
                expiry::expire_all(outbox.clone(), expires_after)
            }),
        ],
    })
}
