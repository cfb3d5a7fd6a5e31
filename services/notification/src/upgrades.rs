//! Converts rows that an earlier version stored in another form.

mod contacts;
mod products;
mod subscriptions;
mod unite;

use broker::Failure;
use chassis::Upgrade;
use uuid::Uuid;

/// In the order in which `migrate` applies them.
pub(crate) const ALL: [Upgrade; 3] = [
    Upgrade { name: "addresses of contacts", batch: contacts::batch },
    Upgrade { name: "addresses of subscriptions", batch: subscriptions::batch },
    Upgrade { name: "names of products", batch: products::batch },
];

/// Rows per transaction.
const BATCH: i64 = 500;

/// The id after which a batch begins.
fn behind(after: Option<&str>) -> Uuid {
    after.and_then(|key| key.parse().ok()).unwrap_or_default()
}

type Last = Result<Option<String>, Failure>;
