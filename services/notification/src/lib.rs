//! The notification service: tells customers the outcome of their orders, and notifies subscribers when a sold-out product is back
//! in stock.
//!
//! It owns deliveries and subscriptions, keeps copies of contacts, orders, products and stock, consumes `orders`, `payments`,
//! `customers`, `stock` and `products`, and publishes `notifications`. `domain` holds the rules, `store` the SQL. `waitlist` decides
//! who is notified, `delivery` sends; the arrow goes one way: `store ← waitlist ← delivery`. `consumer` has one handler per topic,
//! `api` the HTTP, `wiring` one function per queue, `wakes` what wakes their workers; `own`, `republish` and `upgrades` repair a database
//! or a topic.

mod api;
mod command;
mod config;
mod consumer;
mod delivery;
mod domain;
mod own;
mod republish;
mod store;
mod upgrades;
mod waiting;
mod waitlist;
mod wakes;
mod wiring;

use std::sync::Arc;

use anyhow::Context as _;
use broker::Subscription;
use broker_ops::{History, Waits};
use chassis::{Context, Parts, Service, Wire};
use sqlx::migrate::Migrator;

use crate::api::app::{App, Limits};
use crate::api::html::Pages;
use crate::consumer::Consumers;
use crate::delivery::announce::Announcer;
use crate::delivery::templates::{MailTemplates, Shop};
use crate::domain::links::Linker;
use crate::domain::tokens::Tokens;
use crate::own::Notifications;
use crate::waitlist::addressing::Addressing;
use crate::wiring::Wiring;

#[cfg(fuzzing)]
pub use api::fuzzing;
pub use config::{Config, OrderConsent};

/// The service's schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/notification");

/// The service as a value.
pub fn service() -> Service {
    Service {
        name: "notification",
        about: "Tells customers the outcome of their orders, and when a sold-out product is back in stock",
        port: 8083,
        migrations: &MIGRATIONS,
        upgrades: &upgrades::ALL,
        topics: &[
            events::ORDERS,
            events::PAYMENTS,
            events::CUSTOMERS,
            events::STOCK,
            events::PRODUCTS,
            events::NOTIFICATIONS,
        ],
        shows: &[],
        wire: Wire::new(wire),
        commands: vec![command::command()],
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    describe_metrics();
    let Context { config, common, outbox } = context;
    let linker = Linker { tokens: Tokens::new(config.token_key.keys()?), public_url: common.public_url() };
    let shop = Shop { name: config.shop_name.clone(), url: config.shop_url.clone() };
    let templates =
        MailTemplates::new(shop.clone(), linker.clone()).context("a mail template does not parse")?;
    let (templates, pages) =
        (Arc::new(templates), Pages::new(shop.clone()).context("a page does not parse")?);
    let mut wiring = Wiring::new(config.clone(), outbox.clone(), linker.tokens.clone());
    let channels = wiring.channels(&templates)?;
    let addressing = Addressing {
        tokens: linker.tokens.clone(),
        channels: Arc::clone(&channels.names),
        per_hour: config.subscriptions_per_address_per_hour,
    };
    wiring.waves(&channels);
    wiring.requests(&channels);
    wiring.periodic_tasks(addressing.clone(), common.topic_retention.time());

    let Wiring { mut parts, wakes, .. } = wiring;
    let consumers = Consumers {
        announcer: Announcer { channels: channels.names, log: channels.log },
        wakes: wakes.clone(),
        addressing,
        consent: config.order_consent,
    };
    parts.subscriptions = consumers.subscriptions();
    let primary = config.primary_channel();
    parts.own = vec![Subscription::new(Notifications { tokens: linker.tokens.clone(), primary })];
    parts.histories = vec![History::new(republish::Notifications)];
    parts.waits = waits();
    let limits =
        Limits::new(config.subscriptions_per_client_per_hour, config.subscriptions_per_address_per_hour);
    let app = App {
        outbox,
        admin: common.operators()?,
        templates,
        pages: Arc::new(pages),
        tokens: linker.tokens,
        shop,
        limits: Arc::new(limits),
        primary,
        wakes,
    };
    parts.api = api::routes(app, config.demo_inbox);
    Ok(parts)
}

/// The rows that wait for another service's events.
fn waits() -> Vec<Waits> {
    vec![
        Waits {
            topic: events::CUSTOMERS,
            asks: None,
            find: |pool, waiting| Box::pin(waiting::for_customers(pool, waiting)),
        },
        Waits {
            topic: events::ORDERS,
            asks: None,
            find: |pool, waiting| Box::pin(waiting::for_orders(pool, waiting)),
        },
    ]
}

fn describe_metrics() {
    metrics::describe_counter!(
        "deliveries_total",
        "Messages that were sent or failed for good, by kind, channel and status."
    );
    metrics::describe_counter!(
        "wishes_dropped_total",
        "Subscription requests of orders that were dropped, by reason: refused, mailbox_waits, mailbox_limit."
    );
    metrics::describe_counter!(
        "deliveries_limited_total",
        "Messages that failed or were postponed because their recipient was over the limit of their kind, by kind."
    );
}
