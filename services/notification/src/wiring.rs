//! Builds the queues and the periodic tasks, one function per queue.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use broker::Outbox;
use broker_ops::CaughtUp;
use chassis::{Parts, Task};
use events::Channel;
use lettre::message::Mailbox;
use tokio::sync::Notify;
use work::Worker;

use crate::config::Config;
use crate::delivery::channel::log::Log;
use crate::delivery::channel::smtp::Smtp;
use crate::delivery::channel::{self, Channel as _};
use crate::delivery::purge;
use crate::delivery::quota::Quota;
use crate::delivery::templates::MailTemplates;
use crate::delivery::worker::Sender;
use crate::domain::tokens::Tokens;
use crate::waitlist::addressing::Addressing;
use crate::waitlist::freshness::Freshness;
use crate::waitlist::requests::Requests;
use crate::waitlist::waves::Waves;
use crate::waitlist::{expiry, rekey};
use crate::wakes::Wakes;

/// The parts of the service so far, and what its queues share.
pub(crate) struct Wiring {
    pub parts: Parts,
    config: Config,
    outbox: Outbox,
    tokens: Tokens,
    pub wakes: Wakes,
    freshness: Arc<Freshness>,
}

/// The channels that are on, the primary one last.
pub(crate) struct Channels {
    pub names: Arc<[Channel]>,
    pub log: Log,
}

impl Wiring {
    /// Adds the task that follows whether the stock levels are current.
    pub(crate) fn new(config: Config, outbox: Outbox, tokens: Tokens) -> Self {
        let mut parts = Parts::default();
        let caught_up = Arc::new(CaughtUp::new(outbox.clone(), events::STOCK));
        let freshness = Arc::new(Freshness::new(Arc::clone(&caught_up)));
        parts.tasks.push(Task::new("caught_up", async move |stop| caught_up.run(stop).await));
        Self { parts, config, outbox, tokens, wakes: Wakes::default(), freshness }
    }

    /// Adds one sender per channel: the log always, a mail server where one is set.
    pub(crate) fn channels(&mut self, templates: &Arc<MailTemplates>) -> anyhow::Result<Channels> {
        let log = Log { templates: self.config.log_messages.then(|| Arc::clone(templates)) };
        let wakes = self.wakes.clone();
        let mut names = vec![Log::CHANNEL];
        self.sender(log.clone(), wakes.log, None);
        if let Some(url) = &self.config.smtp_url {
            let (ehlo, connections) =
                (self.config.smtp_hello_name.clone(), self.config.smtp_connections.into());
            let smtp = Smtp::new(url, ehlo, connections, from(&self.config), Arc::clone(templates))?;
            let quota = NonZeroU32::new(self.config.mails_per_recipient_per_hour)
                .map(|limit| Quota { limit, tokens: self.tokens.clone() });
            names.push(Smtp::CHANNEL);
            self.sender(smtp, wakes.smtp, quota);
        }
        Ok(Channels { names: names.into(), log })
    }

    fn sender<C: channel::Channel>(&mut self, channel: C, wake: Arc<Notify>, quota: Option<Quota>) {
        let (concurrency, ahead) = (channel.concurrency(), channel.ahead());
        let sender = Sender {
            channel,
            outbox: self.outbox.clone(),
            primary: C::CHANNEL == self.config.primary_channel(),
            freshness: Arc::clone(&self.freshness),
            quota,
            claims: AtomicUsize::default(),
        };
        let worker =
            Worker::new(sender, wake, concurrency, C::LEASE).with_ahead(ahead).with_deadline(C::DEADLINE);
        let stalled = worker.stalled();
        self.parts.tasks.push(Task::new(C::QUEUE, move |stop| worker.run(stop)).watched_by(stalled));
    }

    /// Adds the waves.
    pub(crate) fn waves(&mut self, channels: &Channels) {
        let waves = Waves {
            outbox: self.outbox.clone(),
            channels: Arc::clone(&channels.names),
            factor: self.config.wave_factor,
            interval: self.config.wave_interval,
            wakes: self.wakes.clone(),
            freshness: Arc::clone(&self.freshness),
        };
        self.parts.tasks.push(Task::new("waves", move |stop| waves.run(stop)));
    }

    /// Adds the worker that handles subscription requests.
    pub(crate) fn requests(&mut self, channels: &Channels) {
        let requests = Requests {
            outbox: self.outbox.clone(),
            tokens: self.tokens.clone(),
            channels: Arc::clone(&channels.names),
            wakes: self.wakes.clone(),
        };
        self.parts.tasks.push(Task::new("requests", move |stop| requests.run(stop)));
    }

    /// Adds what runs every so often; `log` is the retention of the topics, `None` for ever.
    pub(crate) fn periodic_tasks(&mut self, addressing: Addressing, log: Option<std::time::Duration>) {
        let (outbox, interval) = (self.outbox.clone(), self.config.wave_interval);
        let (pool, tokens) = (outbox.pool().clone(), self.tokens.clone());
        let tasks = &mut self.parts.tasks;
        tasks.push(Task::new("purge", {
            let pool = pool.clone();
            move |stop| purge::run(pool, log, stop)
        }));
        tasks.push(Task::new("expiry", move |stop| expiry::run(outbox, addressing, interval, stop)));
        tasks.push(Task::new("rekey", move |stop| rekey::run(pool, tokens, stop)));
    }
}

/// `MAIL_FROM`, with the shop's name when it has none of its own.
fn from(config: &Config) -> Mailbox {
    let name = config.mail_from.name.clone().unwrap_or_else(|| config.shop_name.clone());
    Mailbox::new(Some(name), config.mail_from.email.clone())
}
