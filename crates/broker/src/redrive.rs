//! Handles a service's dead letters again, once what killed them is repaired.
//!
//! Each letter goes through the same fold, the sequence guard off on topics with cleanup by deletion (it is older than
//! what was applied since, on purpose), and is noted as done in the same transaction. What fails again stays, until an
//! operator discards it.

mod dead_letters;

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;

pub use self::dead_letters::DeadLetterFilter;
use self::dead_letters::{Kept, Letter};
use crate::failure::Failure;
use crate::handler::{Batch, Guard, Outcome, Subscription};
use crate::record::Record;
use crate::settings::Settings;
use crate::tx::{Outbox, Tx};

/// What to do with the dead letters that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// Only tell which ones they are.
    DryRun,
    /// Handle them again.
    Handle,
    /// Note them as done without handling them: they can never be repaired, or were in another way.
    Discard,
}

/// What came of one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It would be tried (a dry run).
    Found,
    /// Applied now.
    Applied,
    /// Its effect was there already, or its type is not known here: nothing to do.
    Nothing,
    /// It failed again, and stays.
    StillDead(String),
    /// The record was personal and its value is not kept: its owner's `republish` brings the state again.
    NoValue,
    /// It is known to have died, but is not in `dlq.SERVICE`: kept there no longer, or not published yet.
    Missing,
    /// It was noted as done without being handled.
    Discarded,
}

impl Redriven {
    /// Whether the letter is dead still.
    pub fn is_dead(&self) -> bool {
        !matches!(self, Self::Applied | Self::Nothing | Self::Discarded)
    }
}

/// A dead letter and what came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the record came from: topic without prefix, partition, offset.
    pub origin: (String, i32, i64),
    /// Its type, where it has one.
    pub event_type: Option<String>,
    /// Why it died.
    pub cause: String,
    /// What came of it.
    pub result: Redriven,
}

/// Why a redrive cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// Where the dead letters should be.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {program} migrate")]
    NoTopic {
        /// Its full name.
        topic: String,
        /// What can create it.
        program: String,
    },
    /// The database cannot do what a fold needs.
    #[error("stopped at {origin}: {failure}")]
    World {
        /// The letter that was being handled.
        origin: String,
        /// Why.
        failure: Failure,
    },
}

/// Does `action` to those dead letters that match and are not done yet, and tells of each.
pub async fn redrive(
    settings: &Settings,
    outbox: &Outbox,
    subscriptions: &[Subscription],
    wanted: &DeadLetterFilter,
    action: Redrive,
    mut tell: impl FnMut(Report),
) -> Result<(), RedriveError> {
    for letter in dead_letters::find(settings, outbox, wanted).await? {
        let Record { topic, partition, offset, .. } = &letter.record;
        let result = settle(outbox, subscriptions, &letter, action).await;
        let result = result.map_err(|failure| RedriveError::World {
            origin: format!("{topic}/{partition}@{offset}"),
            failure,
        })?;
        let Some(result) = result else { continue };
        tell(Report {
            origin: (topic.clone(), *partition, *offset),
            event_type: letter.record.ce_type().map(str::to_owned),
            cause: letter.cause,
            result,
        });
    }
    Ok(())
}

/// `None`: it was done meanwhile.
async fn settle(
    outbox: &Outbox,
    subscriptions: &[Subscription],
    letter: &Letter,
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
        (_, Kept::Whole, None) => Redriven::StillDead("its topic is not followed any more".to_owned()),
        (Redrive::DryRun, Kept::Whole, Some(_)) => Redriven::Found,
        (Redrive::Handle, Kept::Whole, Some(subscription)) => handle(&mut tx, subscription, record).await?,
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

/// Handles a record once more. `StillDead`: the transaction is spoiled.
async fn handle(tx: &mut Tx, subscription: &Subscription, record: &Record) -> Result<Redriven, Failure> {
    let batch =
        Batch { records: std::slice::from_ref(record), rejected: &BTreeMap::new(), guard: Guard::Off };
    let handled = match subscription.apply(tx, batch).await {
        Ok(handled) => handled,
        Err(Failure::Record { cause, .. } | Failure::SomeRecord(cause)) => {
            return Ok(Redriven::StillDead(cause));
        }
        Err(failure) => return Err(failure),
    };
    Ok(match handled.outcomes.first() {
        Some(Outcome::Applied) => Redriven::Applied,
        Some(Outcome::Dead) => Redriven::StillDead(handled.causes.into_values().next().unwrap_or_default()),
        Some(Outcome::Repeated | Outcome::Skipped) | None => Redriven::Nothing,
    })
}
