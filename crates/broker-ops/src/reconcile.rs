//! Finds events that a service waits for and has not applied, although the topics that it subscribes to have them, and applies
//! them.
//!
//! A position that was moved past a record, or an older copy of the database, leaves aggregates that wait for an event that
//! the consumer does not read again. The topics are read beside the running consumer. Each event that is found goes through
//! its ordinary handler, with the sequence guard on and the aggregate locked: if the consumer reads it too, one of the two
//! applies it and the other ignores it.

mod search;

use std::collections::BTreeMap;

use broker::{Outbox, Settings, Subscription};
use envelope::{Sequence, Topic};
use futures::future::BoxFuture;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use self::search::Search;
use crate::error::OpsError;

/// The largest number of aggregates per reading of a topic.
const PAGE: i64 = 20_000;

/// The aggregates of a service that wait for an event of one topic.
#[derive(Clone, Copy)]
pub struct Waits {
    /// The topic of the event, which has the aggregate's key.
    pub topic: Topic,
    /// The topic of this service whose events request it; `None`: there is none.
    pub asks: Option<Topic>,
    /// Finds the aggregates.
    pub find: fn(PgPool, Waiting) -> BoxFuture<'static, sqlx::Result<Vec<Awaited>>>,
}

/// A page of waiting aggregates.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Only aggregates that have not changed since this moment.
    pub unchanged_since: OffsetDateTime,
    /// Only greater keys, in the order of the keys; `None`: from the first key.
    pub after: Option<String>,
    /// The largest number of aggregates.
    pub limit: i64,
}

impl Waiting {
    /// Returns the key before the first one, for a table whose keys are UUIDs.
    pub fn after_uuid(&self) -> Uuid {
        self.after.as_deref().and_then(|key| key.parse().ok()).unwrap_or_default()
    }
}

/// An aggregate that waits for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The key of the event that it waits for.
    pub key: String,
    /// The last sequence of the topic that it has applied.
    pub last_sequence: Sequence,
    /// The earliest time at which the event can have been published.
    pub since: OffsetDateTime,
}

impl Awaited {
    /// Returns the aggregate of a table whose keys are UUIDs.
    pub fn of_uuid(key: Uuid, last_sequence: Sequence, since: OffsetDateTime) -> Self {
        Self { key: key.to_string(), last_sequence, since }
    }
}

/// The event that a topic has for a waiting aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This record was not applied, and would be applied now (a dry run).
    Found(Place),
    /// This record is applied now, here or by the consumer.
    Applied(Place),
    /// The consumer has not reached this record yet.
    Unread(Place),
    /// This record cannot be applied, for this reason.
    Refused(Place, String),
    /// The topic has no such event.
    Nothing,
}

impl Finding {
    /// Returns whether the aggregate still waits.
    pub fn is_open(&self) -> bool {
        !self.answers.iter().all(|answer| matches!(answer, Answer::Applied(_)))
    }
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The event's type.
    pub event_type: String,
}

/// A waiting aggregate, and the events found for it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The topic that is to bring the event.
    pub topic: Topic,
    /// The topic of this service whose events ask for it.
    pub asks: Option<Topic>,
    /// The aggregate's key.
    pub key: String,
    /// The earliest time since which it waits.
    pub since: OffsetDateTime,
    /// The events on the topic in the order of the log; never empty.
    pub answers: Vec<Answer>,
}

/// Looks for the events of all aggregates that have waited unchanged since `unchanged_since`, and calls `report` for each
/// aggregate. A dry run changes nothing.
pub async fn reconcile(
    settings: &Settings,
    outbox: &Outbox,
    subscriptions: &[Subscription],
    waits: &[Waits],
    unchanged_since: OffsetDateTime,
    dry_run: bool,
    mut report: impl FnMut(Finding),
) -> Result<(), OpsError> {
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
                report(Finding { topic: wait.topic, asks: wait.asks, key, since, answers });
            }
        }
    }
    Ok(())
}
