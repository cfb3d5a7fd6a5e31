//! The board: a storefront, and the topics, partitions, events and consumer groups as they change, for a browser.
//!
//! The board learns everything from the topics, all but `customers`, and publishes nothing. It reads them with a client that joins no
//! group and commits nothing ([`consumer`]), and keeps the latest events in bounded memory ([`domain`]), which all requests share
//! ([`live`]). [`api`] renders the pages and sends the news to the open ones. A browser sends orders and operators' requests to the
//! services itself.

mod api;
mod config;
mod consumer;
mod domain;
mod live;

use std::sync::Arc;

use anyhow::Context as _;
use chassis::{Context, Parts, Service, Task, Wire};
use tokio::sync::watch;

use api::{App, Control, Pages, Site};
pub use config::Config;
use live::Live;

/// The schema: no tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/board");

/// The service as a value.
pub fn service() -> Service {
    Service {
        name: "board",
        about: "A storefront, and a live board of the topics and consumer groups, for a browser",
        port: 8084,
        migrations: &MIGRATIONS,
        upgrades: &[],
        topics: &domain::TOPICS,
        shows: &domain::SERVICES,
        wire: Wire::new(wire),
        commands: Vec::new(),
    }
}

fn wire(context: Context<Config>) -> anyhow::Result<Parts> {
    let Context { config, common, outbox } = context;
    let settings = outbox.settings().clone();
    let site = Site::new(&config, &common.public_url());
    let pages = Arc::new(Pages::new(site).context("a page does not parse")?);
    let live = Arc::new(Live::new());
    let control = Control::new(&config).context("CONTROL_URL and CONTROL_TOKEN")?;
    let (feed, groups, frames) = (Arc::clone(&live), Arc::clone(&live), Arc::clone(&live));
    let (shown, looked) = (Arc::clone(&pages), settings.clone());
    let (stalled, is_stalled) = watch::channel(true);
    Ok(Parts {
        api: api::routes(App { live, pages, control }),
        tasks: vec![
            Task::new("feed", |stop| consumer::feed(settings, feed, stop)).serving(),
            Task::new("groups", |stop| consumer::watch_groups(looked, groups, stalled, stop))
                .serving()
                .watched_by(is_stalled),
            Task::new("frames", |stop| api::send_frames(frames, shown, stop)).serving(),
        ],
        ..Parts::default()
    })
}
