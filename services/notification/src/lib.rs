//! The notification service: tells customers what became of their orders, and when what was sold out is back.
//!
//! It owns deliveries, subscriptions and its copies of contacts, orders, products and stock; it follows `orders`,
//! `payments`, `customers`, `stock` and `products`, and publishes `notifications`. `deliver` is the room of messages,
//! `notify_me` that of subscriptions; `consumer` has a fold a topic, `api` the door.

mod api;
mod config;
mod consumer;
mod deliver;
mod notify_me;
mod own;
mod republish;
mod upgrades;
mod waiting;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::Context as _;
use broker::{Outbox, Subscription};
use broker_ops::{CaughtUp, History, Waits};
use chassis::{Context, Parts, Service, Task};
use events::Channel;
use lettre::message::Mailbox;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use work::Worker;

use crate::api::App;
use crate::consumer::Consumers;
use crate::deliver::channel::Channel as _;
use crate::deliver::channel::log::Log;
use crate::deliver::channel::smtp::Smtp;
use crate::deliver::purge;
use crate::deliver::quota::Quota;
use crate::deliver::templates::{MailTemplates, Shop};
use crate::deliver::worker::Sender;
use crate::notify_me::adopt::Adoption;
use crate::notify_me::expiry;
use crate::notify_me::limits::Limits;
use crate::notify_me::links::Linker;
use crate::notify_me::news::News;
use crate::notify_me::pages::Pages;
use crate::notify_me::reclaim;
use crate::notify_me::tokens::Tokens;
use crate::notify_me::waves::Waves;
use crate::notify_me::wishes::Wishes;
use crate::own::Notifications;

pub use config::{Config, OrderConsent};

/// The service's schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/notification");

/// The service as a value.
pub fn service() -> Service<Config> {
    Service {
        name: "notification",
        about: "Tells customers what became of their orders, and when what was sold out is back",
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
        wire,
        commands: vec![deliver::resend::command()],
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    describe();
    let Context { config, common, outbox } = context;
    let linker = Linker { tokens: Tokens::new(config.token_key.keys()?), public_url: common.public_url() };
    let shop = Shop { name: config.shop_name.clone(), url: config.shop_url.clone() };
    let letters =
        Arc::new(MailTemplates::new(shop.clone(), linker.clone()).context("the templates cannot be read")?);
    let pages = Arc::new(Pages::new(shop.clone()).context("the templates cannot be read")?);
    let mut parts = Parts::default();
    let caught_up = Arc::new(CaughtUp::new(outbox.clone(), events::STOCK));
    let news = Arc::new(News::new(Arc::clone(&caught_up)));
    parts.tasks.push(Task::new("caught_up", async move |stop| caught_up.run(stop).await));
    let (channels, senders) = channels(&mut parts, &config, &outbox, &letters, &news, &linker.tokens)?;
    let adoption = Adoption {
        tokens: linker.tokens.clone(),
        channels: Arc::clone(&channels),
        per_hour: config.subscriptions_per_address_per_hour,
    };
    let running = Waves {
        outbox: outbox.clone(),
        channels: Arc::clone(&channels),
        factor: config.wave_factor,
        interval: config.wave_interval,
        senders: Arc::clone(&senders),
        news,
    };
    let Woken { waves, wishes } = notify_me(&mut parts, running, &adoption);
    let (pool, retention) = (outbox.pool().clone(), common.topic_retention.time());
    parts.tasks.push(Task::new("purge", move |stop| purge::run(pool, retention, stop)));

    let consumers = Consumers {
        channels: Arc::clone(&channels),
        senders: Arc::clone(&senders),
        waves: Arc::clone(&waves),
        adoption,
        consent: config.order_consent,
    };
    parts.subscriptions = consumers.subscriptions();
    let own = Notifications { tokens: linker.tokens.clone(), tells: channels.last().copied() };
    parts.own = vec![Subscription::new(own)];
    parts.histories = vec![History::new(republish::Notifications)];
    parts.waits = waits();
    let (per_client, per_address) =
        (config.subscriptions_per_client_per_hour, config.subscriptions_per_address_per_hour);
    let limits = Arc::new(Limits::new(per_client, per_address));
    let admin = common.operators()?;
    let app = App { outbox, admin, letters, pages, linker, shop, limits, channels, senders, waves, wishes };
    parts.api = api::routes(app, &config.cors_origins);
    Ok(parts)
}

/// What waits here for another service.
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

/// Describes what is counted.
fn describe() {
    metrics::describe_counter!(
        "deliveries_total",
        "Messages that were sent or given up, by kind, channel and status."
    );
    metrics::describe_counter!(
        "wishes_dropped_total",
        "Orders' wishes to be told that came to nothing, by reason: refused, mailbox_waits, mailbox_limit."
    );
    metrics::describe_counter!(
        "deliveries_limited_total",
        "Messages that were not sent, or are sent later, because their recipient was sent enough of their kind, by kind."
    );
}

/// What wakes the workers of Notify Me.
struct Woken {
    waves: Arc<Notify>,
    wishes: Arc<Notify>,
}

/// Adds the workers of Notify Me: the waves, the wishes of the form, and what time does to subscriptions.
fn notify_me(parts: &mut Parts, waves: Waves, adoption: &Adoption) -> Woken {
    let (outbox, interval, tokens) = (waves.outbox.clone(), waves.interval, adoption.tokens.clone());
    let wishes = Wishes {
        outbox: outbox.clone(),
        tokens: tokens.clone(),
        channels: Arc::clone(&waves.channels),
        senders: Arc::clone(&waves.senders),
    };
    let woken = Woken { waves: Arc::new(Notify::new()), wishes: Arc::new(Notify::new()) };
    let (wake_waves, wake_wishes) = (Arc::clone(&woken.waves), Arc::clone(&woken.wishes));
    let (pool, adoption) = (outbox.pool().clone(), adoption.clone());
    parts.tasks.push(Task::new("waves", move |stop| waves.run(wake_waves, stop)));
    parts.tasks.push(Task::new("wishes", move |stop| wishes.run(wake_wishes, stop)));
    parts.tasks.push(Task::new("expiry", move |stop| expiry::run(outbox, adoption, interval, stop)));
    parts.tasks.push(Task::new("reclaim", move |stop| reclaim::run(pool, tokens, stop)));
    woken
}

/// The channels that are on, and what wakes their senders.
type Channels = (Arc<[Channel]>, Arc<[Arc<Notify>]>);

/// Adds a sender a channel: the log always, a mail server where one is set; then that one is what counts as told.
fn channels(
    parts: &mut Parts,
    config: &Config,
    outbox: &Outbox,
    letters: &Arc<MailTemplates>,
    news: &Arc<News>,
    tokens: &Tokens,
) -> anyhow::Result<Channels> {
    let log = Log { letters: config.log_messages.then(|| Arc::clone(letters)) };
    let mut channels = vec![Log::CHANNEL];
    let mut senders = vec![send(parts, log, outbox, news, config.smtp_url.is_none(), None)];
    if let Some(url) = &config.smtp_url {
        channels.push(Smtp::CHANNEL);
        let (hello, connections) = (config.smtp_hello_name.clone(), config.smtp_connections.into());
        let smtp = Smtp::new(url, hello, connections, sender(config), Arc::clone(letters))?;
        let quota = NonZeroU32::new(config.mails_per_recipient_per_hour)
            .map(|limit| Quota { limit, tokens: tokens.clone() });
        senders.push(send(parts, smtp, outbox, news, true, quota));
    }
    Ok((channels.into(), senders.into()))
}

/// Adds the sender of a channel; what is returned wakes it.
fn send<C: deliver::channel::Channel>(
    parts: &mut Parts,
    channel: C,
    outbox: &Outbox,
    news: &Arc<News>,
    tells: bool,
    quota: Option<Quota>,
) -> Arc<Notify> {
    let wake = Arc::new(Notify::new());
    let concurrency = channel.concurrency();
    let (outbox, news) = (outbox.clone(), Arc::clone(news));
    let sender = Sender { channel, outbox, tells, news, quota, claims: AtomicUsize::default() };
    let worker = Worker::new(sender, Arc::clone(&wake), concurrency, C::LEASE).with_deadline(C::DEADLINE);
    let stalled = worker.stalled();
    parts.tasks.push(Task::new(C::QUEUE, move |stop| worker.run(stop)).watched_by(stalled));
    wake
}

/// `MAIL_FROM`, in the shop's name when it has none of its own.
fn sender(config: &Config) -> Mailbox {
    let name = config.mail_from.name.clone().unwrap_or_else(|| config.shop_name.clone());
    Mailbox::new(Some(name), config.mail_from.email.clone())
}
