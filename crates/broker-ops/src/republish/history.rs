//! Publishes the events of a topic with cleanup by deletion again, to repair a log that lost records.
//!
//! The owner rebuilds the events from its rows. Each event has its original sequence, so that a reader that has applied it
//! ignores it as a repetition, and a reader that has not applies it.

use std::collections::BTreeSet;
use std::sync::Arc;

use broker::{AppendError, Cause, Failure, Outbox, Tx};
use envelope::{Event, Sequence, Topic};
use futures::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{STEP, wait_while_full};

/// The aggregates whose events to publish again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The aggregates with these keys.
    Keys(BTreeSet<String>),
    /// The aggregates that were created or have changed at or after this moment.
    Since(OffsetDateTime),
    /// The aggregates that have not reached a final state.
    Unfinished,
}

/// A page of the selected aggregates in the order of their keys, as the parameters of a query on a table whose primary key is
/// a UUID.
#[derive(Debug)]
pub struct UuidPage {
    /// Only these keys; `None`: all.
    pub keys: Option<Vec<Uuid>>,
    /// Only aggregates that changed at or after this moment; `None`: all.
    pub since: Option<OffsetDateTime>,
    /// Only aggregates that have not reached a final state.
    pub unfinished: bool,
    /// Only keys greater than this one.
    pub after: Uuid,
    /// The largest number of aggregates.
    pub limit: i64,
}

impl UuidPage {
    /// Returns the page after the key `after`. A key that is not a UUID in its usual form selects nothing.
    fn new(selection: &Selection, after: Option<&str>) -> Self {
        let usual =
            |key: &str| Uuid::parse_str(key).ok().filter(|id| key.eq_ignore_ascii_case(&id.to_string()));
        let (keys, since) = match selection {
            Selection::Keys(keys) => (Some(keys.iter().filter_map(|key| usual(key)).collect()), None),
            Selection::Since(since) => (None, Some(*since)),
            Selection::Unfinished => (None, None),
        };
        let unfinished = *selection == Selection::Unfinished;
        Self { keys, since, unfinished, after: after.and_then(usual).unwrap_or_default(), limit: STEP }
    }
}

/// The events that were published of an aggregate.
#[derive(Debug)]
pub struct Rebuilt<E> {
    /// The key of the events.
    pub key: String,
    /// The sequence of the last event.
    pub version: Sequence,
    /// The events that the aggregate's row determines exactly, in the order of their sequences.
    pub events: Vec<Past<E>>,
}

/// An event that was published before.
#[derive(Debug, Clone, PartialEq)]
pub struct Past<E> {
    /// The event's number among the events of its key.
    pub sequence: Sequence,
    /// The time of its first publication.
    pub at: OffsetDateTime,
    /// Its cause, as far as the row has it.
    pub cause: Cause,
    /// The event.
    pub event: E,
}

/// Rebuilds the events of a topic with cleanup by deletion from its owner's rows.
pub trait Rebuild: Send + Sync + 'static {
    /// The events of the topic.
    type Event: Event;

    /// Locks the aggregates of `page` in the order of their keys, and returns the events that were published of each. The
    /// locks keep a concurrent change from appending its event between the older ones.
    fn rebuild(
        &self,
        tx: &mut Tx,
        page: UuidPage,
    ) -> impl Future<Output = Result<Vec<Rebuilt<Self::Event>>, Failure>> + Send;
}

/// A topic with cleanup by deletion that this service owns and whose events it can rebuild.
#[derive(Clone)]
pub struct History(Arc<dyn Owner>);

impl History {
    /// Returns the topic of the events that `rebuild` rebuilds.
    pub fn new(rebuild: impl Rebuild) -> Self {
        Self(Arc::new(rebuild))
    }

    /// Returns the topic.
    pub fn topic(&self) -> Topic {
        self.0.topic()
    }
}

/// The events of one aggregate that are published again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Republished {
    /// The aggregate's key.
    pub key: String,
    /// The sequences and the types of the events, in order.
    pub events: Vec<(Sequence, String)>,
    /// The sequences of events that the row does not determine. A reader that has not applied them counts a gap.
    pub missing: Vec<Sequence>,
    /// The time of the last event, when it is older than the topic's retention and the key was not requested: then nothing is
    /// published. The log would have deleted the event by now, and a reader may have forgotten it too.
    pub too_old: Option<OffsetDateTime>,
}

/// Publishes the events of the selected aggregates again, waiting while the outbox is full. Calls `report` for each aggregate.
/// A dry run reports the same and appends nothing.
pub async fn republish_history(
    outbox: &Outbox,
    history: &History,
    selection: &Selection,
    dry_run: bool,
    mut report: impl FnMut(Republished),
) -> Result<(), Failure> {
    let retention = outbox.settings().retention.filter(|_| !matches!(selection, Selection::Keys(_)));
    let oldest =
        retention.and_then(|retention| OffsetDateTime::now_utc().checked_sub(retention.try_into().ok()?));
    let mut after: Option<String> = None;
    loop {
        let mut tx = outbox.begin().await?;
        let page = UuidPage::new(selection, after.as_deref());
        let republished = history.0.append(&mut tx, page, oldest).await?;
        if !dry_run {
            tx.commit().await?;
        }
        let Some(last) = republished.last() else { return Ok(()) };
        after = Some(last.key.clone());
        republished.into_iter().for_each(&mut report);
        if !dry_run {
            wait_while_full(outbox).await?;
        }
    }
}

trait Owner: Send + Sync {
    fn topic(&self) -> Topic;

    /// Appends the events of a page, except those of aggregates whose last event is older than `oldest`.
    fn append<'a>(
        &'a self,
        tx: &'a mut Tx,
        page: UuidPage,
        oldest: Option<OffsetDateTime>,
    ) -> BoxFuture<'a, Result<Vec<Republished>, Failure>>;
}

impl<R: Rebuild> Owner for R {
    fn topic(&self) -> Topic {
        R::Event::TOPIC
    }

    fn append<'a>(
        &'a self,
        tx: &'a mut Tx,
        page: UuidPage,
        oldest: Option<OffsetDateTime>,
    ) -> BoxFuture<'a, Result<Vec<Republished>, Failure>> {
        Box::pin(async move {
            let mut republished = Vec::new();
            for rebuilt in self.rebuild(tx, page).await? {
                republished.push(append(tx, rebuilt, oldest)?);
            }
            Ok(republished)
        })
    }
}

fn append<E: Event>(
    tx: &mut Tx,
    rebuilt: Rebuilt<E>,
    oldest: Option<OffsetDateTime>,
) -> Result<Republished, Failure> {
    let Rebuilt { key, version, events } = rebuilt;
    let last = events.last().map(|past| past.at);
    if let Some(too_old) = last.filter(|last| oldest.is_some_and(|oldest| *last < oldest)) {
        return Ok(Republished { key, events: Vec::new(), missing: Vec::new(), too_old: Some(too_old) });
    }
    let mut appended = Vec::with_capacity(events.len());
    for Past { sequence, at, cause, event } in events {
        tx.append_again(cause, sequence, at, &event)?;
        appended.push((sequence, event.encode().map_err(AppendError::from)?.0));
    }
    let known: BTreeSet<i64> = appended.iter().map(|(sequence, _)| sequence.to_i64()).collect();
    let missing = (1..=version.to_i64()).filter(|number| !known.contains(number));
    let missing = missing.filter_map(Sequence::from_i64).collect();
    Ok(Republished { key, events: appended, missing, too_old: None })
}
