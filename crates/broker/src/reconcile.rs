//! Finds the answers that a service waits for and has not applied, although the topics that it follows hold them, and
//! applies them.
//!
//! A position that was moved past a record, or an older copy of the database, leaves aggregates that wait for an event that
//! nobody reads again. The topics are read beside the running consumer; what is found goes through the ordinary fold, with
//! the sequence guard on and the aggregate locked, so that either of the two applies it and the other ignores it.

mod search;

use std::collections::BTreeMap;

use envelope::{Sequence, Topic};
use futures::future::BoxFuture;
use rdkafka::error::KafkaError;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use self::search::Search;
use crate::failure::Failure;
use crate::handler::Subscription;
use crate::settings::Settings;
use crate::tx::Outbox;

/// Aggregates that are looked for in one reading of a topic.
const PAGE: i64 = 20_000;

/// The aggregates of a service that wait for an event of one topic that it follows.
#[derive(Clone, Copy)]
pub struct Waits {
    /// The topic that is to bring the event, under the aggregate's key.
    pub topic: Topic,
    /// The topic of this service whose events ask for it; `None`: nothing does.
    pub asks: Option<Topic>,
    /// Finds those that wait.
    pub find: fn(PgPool, Waiting) -> BoxFuture<'static, sqlx::Result<Vec<Awaited>>>,
}

/// Which waiting aggregates are looked for.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Those that have not changed since this moment.
    pub unchanged_since: OffsetDateTime,
    /// Those with a greater key, in the order of the keys; `None`: from the first.
    pub after: Option<String>,
    /// At most so many.
    pub limit: i64,
}

impl Waiting {
    /// The key before the first, of a table whose keys are UUIDs.
    pub fn after_uuid(&self) -> Uuid {
        self.after.as_deref().and_then(|key| key.parse().ok()).unwrap_or_default()
    }
}

/// An aggregate that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The key of the event that it waits for.
    pub key: String,
    /// The last sequence that it has seen of the topic.
    pub seen: Sequence,
    /// The event cannot be older than this.
    pub since: OffsetDateTime,
}

/// What the topic holds for an aggregate that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This record, which was not applied, and would be now (a dry run).
    Found(Place),
    /// This record, which is applied now: by this, or meanwhile by the consumer.
    Applied(Place),
    /// This record, which the consumer has not come to yet.
    Unread(Place),
    /// This record, which cannot be applied.
    Refused(Place, String),
    /// Nothing new.
    Nothing,
}

impl Finding {
    /// Whether the aggregate goes on waiting.
    pub fn is_open(&self) -> bool {
        !self.answers.iter().all(|answer| matches!(answer, Answer::Applied(_)))
    }
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The event's type.
    pub event_type: String,
}

/// An aggregate that waits, and what was found for it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The topic that is to bring the event.
    pub topic: Topic,
    /// The topic of this service whose events ask for it.
    pub asks: Option<Topic>,
    /// The key.
    pub key: String,
    /// Since when it waits, at most.
    pub since: OffsetDateTime,
    /// What the topic holds, in the order of the log; never empty.
    pub answers: Vec<Answer>,
}

/// Why a reconciliation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// The topic is not there.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {program} migrate")]
    NoTopic {
        /// Its full name.
        topic: String,
        /// What can create it.
        program: String,
    },
    /// The database cannot do what a fold needs.
    #[error("stopped at {place}: {failure}")]
    World {
        /// The record that was being applied.
        place: String,
        /// Why.
        failure: Failure,
    },
}

/// Looks for the answers of everything that has waited unchanged since `unchanged_since`, and tells of each aggregate. A dry
/// run changes nothing.
pub async fn reconcile(
    settings: &Settings,
    outbox: &Outbox,
    subscriptions: &[Subscription],
    waits: &[Waits],
    unchanged_since: OffsetDateTime,
    dry_run: bool,
    mut tell: impl FnMut(Finding),
) -> Result<(), ReconcileError> {
    for wait in waits {
        let Some(subscription) = subscriptions.iter().find(|followed| followed.topic() == wait.topic) else {
            continue;
        };
        let mut after = None;
        loop {
            let waiting = Waiting { unchanged_since, after, limit: PAGE };
            let awaited = (wait.find)(outbox.pool().clone(), waiting).await?;
            let Some(last) = awaited.last() else { break };
            after = Some(last.key.clone());
            let mut search = Search { settings, outbox, subscription, dry_run, answers: BTreeMap::new() };
            search.run(&awaited).await?;
            for Awaited { key, since, .. } in awaited {
                let answers = search.answers.remove(&key).unwrap_or_else(|| vec![Answer::Nothing]);
                tell(Finding { topic: wait.topic, asks: wait.asks, key, since, answers });
            }
        }
    }
    Ok(())
}
