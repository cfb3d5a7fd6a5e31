//! The state of a compacted topic, which its owner can publish again.

use envelope::Topic;
use futures::future::BoxFuture;

use crate::failure::Failure;
use crate::tx::{Outbox, Tx};

/// The keys of a compacted topic to publish again.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// This key; nothing when it does not exist.
    One(&'a str),
    /// At most `limit` keys after `after` (`None`: from the first), in the order of the keys.
    After {
        /// The last key of the page before.
        after: Option<&'a str>,
        /// The largest number of keys.
        limit: i64,
    },
}

/// A compacted topic that this service owns.
pub trait Compacted: Send + Sync {
    /// Returns the topic.
    fn topic(&self) -> Topic;

    /// Appends the current state of `keys` again: locks their aggregates in key order, raises the aggregates' versions, and
    /// appends each state under its new version (a tombstone for a key that was erased in the last 30 days). Returns the
    /// last key; `None` when there was none.
    fn republish<'a>(
        &'a self,
        tx: &'a mut Tx,
        keys: Keys<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>>;
}

pub(crate) async fn republish_key(outbox: &Outbox, owner: &dyn Compacted, key: &str) -> Result<(), Failure> {
    let mut tx = outbox.begin().await?;
    owner.republish(&mut tx, Keys::One(key)).await?;
    Ok(tx.commit().await?)
}
