//! Handles a service's dead letters again after their causes are repaired.
//!
//! Each dead letter goes through its handler once more, and is marked as done in the same transaction. On topics with cleanup
//! by deletion the sequence guard is off, because the letter is older than events that were applied since. A letter that
//! fails again stays until an operator discards it.

mod dead_letters;

use broker::maintenance::{Guard, Outcome, Record};
use broker::{Failure, Outbox, Settings, Subscription};

pub use self::dead_letters::DeadLetterFilter;
use self::dead_letters::{Kept, OpenLetter};
use crate::apply;
use crate::error::OpsError;

/// The action on the matching dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// Report them.
    DryRun,
    /// Handle them again.
    Handle,
    /// Mark them as done without handling them: they can never be repaired, or were repaired in another way.
    Discard,
}

/// The result for one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It would be handled (a dry run).
    Found,
    /// It is applied now.
    Applied,
    /// Nothing to do: it was applied before, or its type is unknown.
    Nothing,
    /// It failed again for this reason, and stays.
    StillDead(String),
    /// The topic is personal and the letter has no value. The owner's `republish` publishes the state again.
    NoValue,
    /// The database knows it, but `dlq.SERVICE` does not have it: it expired there, or is not published yet.
    Missing,
    /// It is marked as done without being handled.
    Discarded,
}

impl Redriven {
    /// Returns whether the letter is still dead.
    pub fn is_dead(&self) -> bool {
        !matches!(self, Self::Applied | Self::Nothing | Self::Discarded)
    }
}

/// A dead letter and the result for it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The place of the record: topic without prefix, partition, offset.
    pub origin: (String, i32, i64),
    /// The event's type, where it is readable.
    pub event_type: Option<String>,
    /// The reason why it became a dead letter.
    pub cause: String,
    /// The result.
    pub result: Redriven,
}

/// Performs `action` on the dead letters that match and are not done yet, and calls `report` for each.
pub async fn redrive(
    settings: &Settings,
    outbox: &Outbox,
    subscriptions: &[Subscription],
    wanted: &DeadLetterFilter,
    action: Redrive,
    mut report: impl FnMut(Report),
) -> Result<(), OpsError> {
    for letter in dead_letters::find(settings, outbox, wanted).await? {
        let Record { topic, partition, offset, .. } = &letter.record;
        let result = perform(outbox, subscriptions, &letter, action).await;
        let result = result.map_err(|failure| OpsError::handler(&letter.record, failure))?;
        let Some(result) = result else { continue };
        report(Report {
            origin: (topic.clone(), *partition, *offset),
            event_type: letter.record.ce_type().map(str::to_owned),
            cause: letter.cause,
            result,
        });
    }
    Ok(())
}

/// Performs `action` on one letter in a transaction. `None`: it was done meanwhile.
async fn perform(
    outbox: &Outbox,
    subscriptions: &[Subscription],
    letter: &OpenLetter,
    action: Redrive,
) -> Result<Option<Redriven>, Failure> {
    let record = &letter.record;
    let mut tx = outbox.begin().await?;
    let open = sqlx::query_scalar!(
        r#"SELECT true AS "open!" FROM broker.dead_letters
           WHERE topic = $1 AND partition = $2 AND log_offset = $3 AND record = $4 AND redriven_at IS NULL
           FOR UPDATE"#,
        record.topic,
        record.partition,
        record.offset,
        letter.identity
    )
    .fetch_optional(&mut *tx)
    .await?;
    if open.is_none() {
        return Ok(None);
    }
    let subscription = subscriptions.iter().find(|subscription| subscription.topic().name == record.topic);
    let result = match (action, letter.kept, subscription) {
        (Redrive::Discard, ..) => Redriven::Discarded,
        (_, Kept::Nothing, _) => Redriven::Missing,
        (_, Kept::Hash, _) => Redriven::NoValue,
        (_, Kept::Whole, None) => {
            Redriven::StillDead("the service no longer subscribes to its topic".to_owned())
        }
        (Redrive::DryRun, Kept::Whole, Some(_)) => Redriven::Found,
        (Redrive::Handle, Kept::Whole, Some(subscription)) => {
            match apply::one(&mut tx, subscription, record, Guard::Off).await? {
                Outcome::Applied => Redriven::Applied,
                Outcome::Dead(cause) => Redriven::StillDead(cause),
                Outcome::Repeated | Outcome::Skipped => Redriven::Nothing,
            }
        }
    };
    if !result.is_dead() {
        sqlx::query!(
            "UPDATE broker.dead_letters SET redriven_at = now()
             WHERE topic = $1 AND partition = $2 AND log_offset = $3 AND record = $4",
            record.topic,
            record.partition,
            record.offset,
            letter.identity
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(Some(result))
}
