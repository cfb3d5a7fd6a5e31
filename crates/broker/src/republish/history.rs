//! The events of a topic with cleanup by deletion, published again by their owner: the repair of a log that lost records.
//!
//! The owner rebuilds the events from its rows. Each has the sequence that it had, so that a reader that has seen it
//! ignores it as a repetition, and a reader that has not applies it.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use envelope::{Event, Sequence, Topic};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PAUSE, STEP};
use crate::failure::Failure;
use crate::outbox::Cause;
use crate::relay::depth;
use crate::tx::{Outbox, Tx};

/// Which aggregates' events to publish again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those with these keys.
    Keys(BTreeSet<String>),
    /// Those that were created, or have changed, at or after this moment.
    Since(OffsetDateTime),
    /// Those that have not reached a final state.
    Unfinished,
}

/// Some of the selected aggregates: the next ones in the order of their keys.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    selection: &'a Selection,
    after: Option<&'a str>,
}

/// A [`Page`] as the parameters of a query on a table whose primary key is a UUID.
#[derive(Debug)]
pub struct UuidPage {
    /// These alone; `None`: all that the other conditions select.
    pub keys: Option<Vec<Uuid>>,
    /// Changed at or after this moment; `None`: whenever.
    pub since: Option<OffsetDateTime>,
    /// Those alone that have not reached a final state.
    pub unfinished: bool,
    /// Greater than this one.
    pub after: Uuid,
    /// At most so many.
    pub limit: i64,
}

impl Page<'_> {
    /// The page as a query takes it. A key that is not a UUID in its usual form selects nothing.
    pub fn of_uuids(&self) -> UuidPage {
        let usual =
            |key: &str| Uuid::parse_str(key).ok().filter(|id| key.eq_ignore_ascii_case(&id.to_string()));
        let keys = match self.selection {
            Selection::Keys(keys) => Some(keys.iter().filter_map(|key| usual(key)).collect()),
            Selection::Since(_) | Selection::Unfinished => None,
        };
        let since = match self.selection {
            Selection::Since(since) => Some(*since),
            Selection::Keys(_) | Selection::Unfinished => None,
        };
        let unfinished = *self.selection == Selection::Unfinished;
        UuidPage {
            keys,
            since,
            unfinished,
            after: self.after.and_then(usual).unwrap_or_default(),
            limit: STEP,
        }
    }
}

/// An aggregate as the events that were published of it.
#[derive(Debug)]
pub struct Rebuilt<E> {
    /// Their key.
    pub key: String,
    /// The sequence of the last one.
    pub version: Sequence,
    /// Those that its row can tell exactly, in the order of their sequences.
    pub events: Vec<Past<E>>,
}

/// An event that was published before.
#[derive(Debug, Clone, PartialEq)]
pub struct Past<E> {
    /// Its number among the events of its key.
    pub sequence: Sequence,
    /// When it was published first.
    pub at: OffsetDateTime,
    /// What led to it, as far as the row remembers.
    pub cause: Cause,
    /// The event.
    pub event: E,
}

/// How the owner of a topic with cleanup by deletion rebuilds its events.
pub trait Rebuild: Send + Sync + 'static {
    /// What is published on the topic.
    type Event: Event;

    /// Locks the aggregates of `page` in the order of their keys, and returns what was published of each. The locks keep a
    /// concurrent change from appending its event between the older ones.
    fn rebuild(
        &self,
        tx: &mut Tx,
        page: Page<'_>,
    ) -> impl Future<Output = Result<Vec<Rebuilt<Self::Event>>, Failure>> + Send;
}

/// A topic with cleanup by deletion that this service owns, and how its events are rebuilt.
#[derive(Clone)]
pub struct History(Arc<dyn Owner>);

impl History {
    /// The topic of the events that `rebuild` rebuilds.
    pub fn new(rebuild: impl Rebuild) -> Self {
        Self(Arc::new(rebuild))
    }

    /// The topic.
    pub fn topic(&self) -> Topic {
        self.0.topic()
    }
}

/// What is published again of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Republished {
    /// Its key.
    pub key: String,
    /// The sequences and the types of the events, in order.
    pub events: Vec<(Sequence, String)>,
    /// The sequences of events that its row cannot tell. A reader that has not seen them counts a gap.
    pub missing: Vec<Sequence>,
    /// When its last event was published, if that was before the topic's retention and its key was not asked for: then nothing
    /// is published. The log would have deleted it by now, and a reader may have forgotten it with the log.
    pub too_old: Option<OffsetDateTime>,
}

/// Publishes the events of the selected aggregates again, waiting while the outbox is full, and tells of each aggregate.
/// A dry run tells the same and appends nothing.
pub async fn republish_history(
    outbox: &Outbox,
    history: &History,
    selection: &Selection,
    dry_run: bool,
    mut tell: impl FnMut(Republished),
) -> Result<(), Failure> {
    let retention = outbox.settings().retention.filter(|_| !matches!(selection, Selection::Keys(_)));
    let oldest =
        retention.and_then(|retention| OffsetDateTime::now_utc().checked_sub(retention.try_into().ok()?));
    let mut after: Option<String> = None;
    loop {
        let mut tx = outbox.begin().await?;
        let page = Page { selection, after: after.as_deref() };
        let republished = history.0.append(&mut tx, page, oldest).await?;
        if !dry_run {
            tx.commit().await?;
        }
        let Some(last) = republished.last() else { return Ok(()) };
        after = Some(last.key.clone());
        republished.into_iter().for_each(&mut tell);
        // A command has no relay of its own that would count.
        while !dry_run && depth::count(outbox).await.map(|_| outbox.is_full())? {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

type Appended<'a> = Pin<Box<dyn Future<Output = Result<Vec<Republished>, Failure>> + Send + 'a>>;

trait Owner: Send + Sync {
    fn topic(&self) -> Topic;

    /// Appends the events of a page, without those of aggregates whose last event was before `oldest`.
    fn append<'a>(&'a self, tx: &'a mut Tx, page: Page<'a>, oldest: Option<OffsetDateTime>) -> Appended<'a>;
}

impl<R: Rebuild> Owner for R {
    fn topic(&self) -> Topic {
        R::Event::TOPIC
    }

    fn append<'a>(&'a self, tx: &'a mut Tx, page: Page<'a>, oldest: Option<OffsetDateTime>) -> Appended<'a> {
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
        appended.push((sequence, event.encode().map_err(crate::AppendError::from)?.0));
    }
    let known: BTreeSet<i64> = appended.iter().map(|(sequence, _)| sequence.to_i64()).collect();
    let missing = (1..=version.to_i64()).filter(|number| !known.contains(number));
    let missing = missing.filter_map(Sequence::from_i64).collect();
    Ok(Republished { key, events: appended, missing, too_old: None })
}
