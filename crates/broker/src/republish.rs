//! What an owner publishes again: the events that a log has lost ([`history`]), and the current state of a compacted topic,
//! on command, once a day, and whenever a late repetition may have become the last record of a key.
//!
//! Once a day also because Kafka never compacts the segment that is being written: on a partition that nobody else
//! writes to, what was erased would stay readable for ever.

mod history;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envelope::Topic;
use tokio_util::sync::CancellationToken;

pub use self::history::{
    History, Page, Past, Rebuild, Rebuilt, Republished, Selection, UuidPage, republish_history,
};
use crate::failure::Failure;
use crate::relay::depth;
use crate::tx::{Outbox, Tx};

/// Keys a step. A step a second, so that the daily round is a trickle.
const STEP: i64 = 100;
const PAUSE: Duration = Duration::from_secs(1);

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

/// Publishes the state of one key again.
pub(crate) async fn one(outbox: &Outbox, owner: &dyn Compacted, key: &str) -> Result<(), Failure> {
    let mut tx = outbox.begin().await?;
    owner.republish(&mut tx, Keys::One(key)).await?;
    Ok(tx.commit().await?)
}

/// Publishes the state of all keys again, waiting while the outbox is full; tells after each step how far it is.
pub async fn republish_all(
    outbox: &Outbox,
    owner: &dyn Compacted,
    mut progress: impl FnMut(&str),
) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let mut tx = outbox.begin().await?;
        let keys = Keys::After { after: after.as_deref(), limit: STEP };
        let last = owner.republish(&mut tx, keys).await?;
        tx.commit().await?;
        let Some(last) = last else { return Ok(()) };
        progress(&last);
        after = Some(last);
        // A command has no relay of its own that would count.
        while depth::count(outbox).await.map(|_| outbox.is_full())? {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Publishes the state of these keys again, and returns those that the owner does not know. A dry run appends nothing.
pub async fn republish_keys<'k>(
    outbox: &Outbox,
    owner: &dyn Compacted,
    keys: &'k BTreeSet<String>,
    dry_run: bool,
) -> Result<Vec<&'k str>, Failure> {
    let mut tx = outbox.begin().await?;
    let mut unknown = Vec::new();
    // In the order of the keys: their rows are locked.
    for key in keys {
        if owner.republish(&mut tx, Keys::One(key)).await?.is_none() {
            unknown.push(key.as_str());
        }
    }
    if !dry_run {
        tx.commit().await?;
    }
    Ok(unknown)
}

/// Publishes everything again once a day, a step a second, whichever instance comes first; until `stop`.
pub async fn republish_daily(outbox: Outbox, compacted: Vec<Arc<dyn Compacted>>, stop: CancellationToken) {
    let mut failing = false;
    while stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
        // Kafka is away: what is to be published anyway must not grow the outbox further.
        if outbox.is_full() {
            continue;
        }
        for owner in &compacted {
            match step(&outbox, owner.as_ref()).await {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(topic = owner.topic().name, %error, "the daily republish waits");
                }
                Err(_) => {}
            }
        }
    }
}

/// One step, when one is due: its events and how far it came in one transaction.
async fn step(outbox: &Outbox, owner: &dyn Compacted) -> Result<(), Failure> {
    let topic = owner.topic().name;
    let mut tx = outbox.begin().await?;
    // The first round begins a day after the first start: what was just published need not be published again.
    sqlx::query!(
        "INSERT INTO broker.republishes (topic, due_at) SELECT $1::text, now() + interval '1 day'
         WHERE NOT EXISTS (SELECT FROM broker.republishes WHERE topic = $1)
         ON CONFLICT DO NOTHING",
        topic
    )
    .execute(&mut *tx)
    .await?;
    let due = sqlx::query!(
        // No round begins more than a day ahead: what is due later was written while the database's clock was ahead.
        "SELECT after_key FROM broker.republishes
         WHERE topic = $1 AND (due_at <= now() OR due_at > now() + interval '25 hours') FOR UPDATE SKIP LOCKED",
        topic
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(due) = due else {
        return Ok(tx.commit().await?);
    };
    let keys = Keys::After { after: due.after_key.as_deref(), limit: STEP };
    let last = owner.republish(&mut tx, keys).await?;
    sqlx::query!(
        "UPDATE broker.republishes SET
             after_key = $2::text,
             -- After the last key the next round begins a day after this one did.
             due_at = CASE
                 WHEN $2::text IS NOT NULL THEN now()
                 WHEN after_key IS NULL THEN now() + interval '1 day'
                 ELSE greatest(now(), least(began_at, now()) + interval '1 day')
             END,
             began_at = CASE WHEN after_key IS NULL THEN now() ELSE began_at END
         WHERE topic = $1",
        topic,
        last
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}
