//! Publishes again what an owner has published before: events that a log has lost ([`history`]), and the current state of a
//! compacted topic, on command and once a day.
//!
//! The daily round exists because Kafka never compacts the segment that is being written: on a partition without other
//! records, erased data would stay readable for ever.

mod history;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker::{Compacted, Failure, Keys, Outbox};
use tokio_util::sync::CancellationToken;

pub use self::history::{
    History, Past, Rebuild, Rebuilt, Republished, Selection, UuidPage, republish_history,
};

/// The number of keys per step. The daily round makes one step per second, so that its load stays low.
const STEP: i64 = 100;
const PAUSE: Duration = Duration::from_secs(1);

/// Publishes the state of all keys again, waiting while the outbox is full. Calls `progress` with the last key of each step.
pub async fn republish_all(
    outbox: &Outbox,
    owner: &dyn Compacted,
    mut progress: impl FnMut(&str),
) -> Result<(), Failure> {
    append_all(outbox, owner, STEP, async |last| {
        progress(last);
        wait_while_full(outbox).await
    })
    .await?;
    Ok(())
}

/// Appends the state of all keys, `step` keys per transaction. Calls `committed` after each transaction with its last key.
/// Returns the number of keys.
pub(crate) async fn append_all<E: From<Failure> + From<sqlx::Error>>(
    outbox: &Outbox,
    owner: &dyn Compacted,
    step: i64,
    mut committed: impl AsyncFnMut(&str) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut after, mut keys): (Option<String>, u64) = (None, 0);
    loop {
        let mut tx = outbox.begin().await?;
        let page = Keys::After { after: after.as_deref(), limit: step };
        let last = owner.republish(&mut tx, page).await?;
        keys += tx.event_count() as u64;
        tx.commit().await?;
        let Some(last) = last else { return Ok(keys) };
        committed(&last).await?;
        after = Some(last);
    }
}

/// Waits while the outbox is full. A command has no relay of its own that counts the rows, so this counts them.
async fn wait_while_full(outbox: &Outbox) -> Result<(), Failure> {
    loop {
        outbox.count_rows().await?;
        if !outbox.is_full() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Publishes the state of `keys` again, and returns those that the owner does not know. A dry run appends nothing.
pub async fn republish_keys<'k>(
    outbox: &Outbox,
    owner: &dyn Compacted,
    keys: &'k BTreeSet<String>,
    dry_run: bool,
) -> Result<Vec<&'k str>, Failure> {
    let mut tx = outbox.begin().await?;
    let mut unknown = Vec::new();
    // In the order of the keys, because their rows are locked.
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

/// Publishes the state of all keys again once a day, one step per second, until `stop`. Every instance runs it; for each step
/// one of them locks the topic's row, and the others skip it.
pub async fn republish_daily(outbox: Outbox, compacted: Vec<Arc<dyn Compacted>>, stop: CancellationToken) {
    let mut failing = false;
    while stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
        // While Kafka is away, the outbox must not grow by events that can wait.
        if outbox.is_full() {
            continue;
        }
        for owner in &compacted {
            match step(&outbox, owner.as_ref()).await {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(topic = owner.topic().name, %error, "the daily republish failed; retrying");
                }
                Err(_) => {}
            }
        }
    }
}

/// Makes one step when one is due: appends its events and stores its last key in one transaction.
async fn step(outbox: &Outbox, owner: &dyn Compacted) -> Result<(), Failure> {
    let topic = owner.topic().name;
    let mut tx = outbox.begin().await?;
    // The first round begins a day after the first start: until then everything was published recently.
    sqlx::query!(
        "INSERT INTO broker.republishes (topic, due_at) SELECT $1::text, now() + interval '1 day'
         WHERE NOT EXISTS (SELECT FROM broker.republishes WHERE topic = $1)
         ON CONFLICT DO NOTHING",
        topic
    )
    .execute(&mut *tx)
    .await?;
    // No round is due more than a day ahead, unless the database's clock was ahead when it was written: then it is due.
    let due = sqlx::query!(
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
             -- After the last key, the next round begins a day after the start of this one.
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
