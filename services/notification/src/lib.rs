//! The notification service: tells customers what became of their orders.
//!
//! It owns deliveries and its copies of contacts and orders; it follows `orders`, `payments` and `customers`, and
//! publishes `notifications`. `deliver` is the room of messages; `consumer` has a fold a topic, `api` the door.

mod api;
mod config;
mod consumer;
mod deliver;

use std::sync::Arc;

use anyhow::Context as _;
use chassis::{Context, Parts, Service, Task};
use events::Channel;
use lettre::message::Mailbox;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use web::AdminToken;
use work::Worker;

use crate::api::App;
use crate::consumer::Consumers;
use crate::deliver::channel::Channel as _;
use crate::deliver::channel::log::Log;
use crate::deliver::channel::smtp::Smtp;
use crate::deliver::letter::{Letters, Shop};
use crate::deliver::purge;
use crate::deliver::worker::Sender;

pub use config::Config;

/// The service's schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/notification");

/// The service as a value.
pub fn service() -> Service<Config> {
    Service {
        name: "notification",
        about: "Tells customers what became of their orders, and when what was sold out is back",
        port: 8083,
        migrations: &MIGRATIONS,
        topics: &[events::ORDERS, events::PAYMENTS, events::CUSTOMERS, events::NOTIFICATIONS],
        wire,
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    let Context { config, common, outbox } = context;
    let shop = Shop { name: config.shop_name.clone(), url: config.shop_url.clone() };
    let letters = Arc::new(Letters::new(shop).context("the templates cannot be read")?);
    let mut parts = Parts::default();

    let mut channels = vec![Log::CHANNEL];
    let log = Log { letters: config.log_messages.then(|| Arc::clone(&letters)) };
    let mut wake = vec![send(&mut parts, log, &outbox)];
    if let Some(url) = &config.smtp_url {
        let smtp = Smtp::new(url, sender(&config), Arc::clone(&letters))?;
        channels.push(Channel::Smtp);
        wake.push(send(&mut parts, smtp, &outbox));
    }

    let pool = outbox.pool().clone();
    parts.tasks.push(Task::new("purge", move |stop| purge::run(pool, stop)));
    parts.subscriptions = Consumers { channels: channels.into(), wake: wake.into() }.subscriptions();
    parts.api = api::routes(App { outbox, admin: AdminToken::new(common.admin_token.as_ref()), letters });
    Ok(parts)
}

/// Adds the worker of a channel; what is returned wakes it.
fn send<C: deliver::channel::Channel>(parts: &mut Parts, channel: C, outbox: &broker::Outbox) -> Arc<Notify> {
    let wake = Arc::new(Notify::new());
    let worker =
        Worker::new(Sender { channel, outbox: outbox.clone() }, Arc::clone(&wake), C::CONCURRENCY, C::LEASE);
    parts.tasks.push(Task::new(C::QUEUE, move |stop| worker.run(stop)));
    wake
}

/// `MAIL_FROM`, in the shop's name when it has none of its own.
fn sender(config: &Config) -> Mailbox {
    let name = config.mail_from.name.clone().unwrap_or_else(|| config.shop_name.clone());
    Mailbox::new(Some(name), config.mail_from.email.clone())
}
