//! The state that all requests share: the model, and the channels to the open pages.
//!
//! One task reads Kafka and adds records to the model; one looks at the groups; one takes a frame out of the model a few times per
//! second and sends it, rendered once, to every open page. So the load of a page does not grow with the events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::{Model, Offer};

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
    /// The messages to pages that show the board.
    pub news: broadcast::Sender<News>,
    /// The products that change.
    pub stock: broadcast::Sender<Offer>,
    /// Changes with each batch of records.
    pub changed: watch::Sender<()>,
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

    /// Announces that the model has changed, and which products.
    pub(crate) fn announce(&self, products: Vec<Offer>) {
        for product in products {
            // Fails while no page is open.
            let _ = self.stock.send(product);
        }
        self.changed.send_replace(());
    }
}

/// The time in milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
