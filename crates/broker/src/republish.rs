//! The current state of a compacted topic, published again by its owner: on command, once a day, and whenever a late
//! repetition may have become the last record of a key.

use std::future::Future;
use std::pin::Pin;

use envelope::Topic;

use crate::failure::Failure;
use crate::tx::Tx;

/// Which keys of a compacted topic to publish again.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// This one; nothing when it is not there.
    One(&'a str),
    /// At most `limit` of those after `after` (`None`: from the first), in the order of the keys.
    After {
        /// The last key of the step before.
        after: Option<&'a str>,
        /// How many.
        limit: i64,
    },
}

/// A compacted topic that this service owns.
///
/// `republish` locks the aggregates of `keys` in key order, raises their versions, appends their state under the new
/// version (a tombstone for what was erased in the last 30 days) and returns the last key, `None` when there was none.
pub trait Compacted: Send + Sync {
    /// The topic.
    fn topic(&self) -> Topic;

    /// Appends the current state of `keys` again.
    fn republish<'a>(
        &'a self,
        tx: &'a mut Tx,
        keys: Keys<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>>;
}
