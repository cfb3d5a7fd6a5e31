//! The model that all requests share, and the news that browsers are sent.
//!
//! One task reads Kafka and adds records to the model; one looks at the groups; one takes a frame out of the model a few times per
//! second and sends it, rendered once, to every open page. So the load of a page does not grow with the events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::api::Pages;
use crate::domain::{Model, Offer};

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(250);
/// The number of frames between two looks at the groups' table.
const TABLES: u32 = 4;
/// The messages that wait for a slow browser; older ones are dropped.
const WAITING: usize = 64;

/// A message to the pages that show the board.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A frame as JSON.
    Frame(Arc<str>),
    /// The groups as HTML.
    Groups(Arc<str>),
}

/// The shared state.
pub(crate) struct Live {
    model: Mutex<Model>,
    news: broadcast::Sender<News>,
    stock: broadcast::Sender<Offer>,
    /// Changes with each batch of records.
    changed: watch::Sender<()>,
    /// Cancelled when the service stops: open streams end then.
    pub ended: CancellationToken,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            model: Mutex::default(),
            news: broadcast::Sender::new(WAITING),
            stock: broadcast::Sender::new(WAITING),
            changed: watch::Sender::default(),
            ended: CancellationToken::new(),
        }
    }

    /// The model. No code panics while it holds the lock.
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages to pages that show the board.
    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The products that change.
    pub(crate) fn stock(&self) -> broadcast::Receiver<Offer> {
        self.stock.subscribe()
    }

    /// Announces that the model has changed, and which products.
    pub(crate) fn announce(&self, products: Vec<Offer>) {
        for product in products {
            // Fails while no page is open.
            let _ = self.stock.send(product);
        }
        self.changed.send_replace(());
    }

    /// Waits for changes of the model.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Sends frames until `stop`.
    pub(crate) async fn send_frames(self: Arc<Self>, pages: Arc<Pages>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FRAME);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut number, mut last_groups) = (0_u32, Vec::new());
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let frame = self.model().take_frame(now());
            if let Ok(json) = serde_json::to_string(&frame) {
                let _ = self.news.send(News::Frame(json.into()));
            }
            number = number.wrapping_add(1);
            if number % TABLES == 0 {
                let groups = self.model().groups();
                if groups != last_groups {
                    match pages.groups(&groups) {
                        Ok(html) => _ = self.news.send(News::Groups(html.into())),
                        Err(error) => tracing::error!(%error, "the groups do not render"),
                    }
                    last_groups = groups;
                }
            }
        }
        self.ended.cancel();
    }
}

/// The time in milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
