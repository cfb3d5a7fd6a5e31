//! Finds the answers that a service waits for and has not applied, although the topics that it follows hold them, and
//! applies them.
//!
//! A position that was moved past a record, or an older copy of the database, leaves aggregates that wait for an event that
//! nobody reads again. The topics are read beside the running consumer; what is found goes through the ordinary fold, with
//! the sequence guard on and the aggregate locked, so that either of the two applies it and the other ignores it.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use envelope::{Cleanup, Headers, Sequence, Topic};
use futures::future::BoxFuture;
use rdkafka::error::KafkaError;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::failure::Failure;
use crate::fold::{Batch, Guard, Outcome, Subscription};
use crate::positions::BEGINNING;
use crate::record::Record;
use crate::scan::{self, Scanned};
use crate::settings::Settings;
use crate::tx::Outbox;
use crate::{kafka, positions};

/// Aggregates that are looked for in one reading of a topic.
const PAGE: i64 = 20_000;
/// Records between the thread that reads and the transaction that applies.
const BUFFER: usize = 64;
/// How far before the first aggregate began to wait the topic is read: its service's clock is not Kafka's.
const MARGIN: Duration = Duration::hours(1);

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

/// One reading of a topic for the answers of some aggregates.
struct Search<'a> {
    settings: &'a Settings,
    outbox: &'a Outbox,
    subscription: &'a Subscription,
    dry_run: bool,
    answers: BTreeMap<String, Vec<Answer>>,
}

impl Search<'_> {
    async fn run(&mut self, awaited: &[Awaited]) -> Result<(), ReconcileError> {
        let topic = self.subscription.topic();
        let positions = self.positions(topic.name).await?;
        let since =
            awaited.iter().map(|awaited| awaited.since).min().and_then(|since| since.checked_sub(MARGIN));
        // A compacted topic holds the last event of a key, however old it is.
        let since = since.filter(|_| topic.cleanup == Cleanup::Delete);
        let seen: HashMap<_, _> = awaited.iter().map(|awaited| (awaited.key.clone(), awaited.seen)).collect();
        let (sender, mut found) = mpsc::channel(BUFFER);
        let settings = self.settings.clone();
        let reading = kafka::blocking(move || read(&settings, topic.name, since, seen, &sender));
        let search = &mut *self;
        // Dropped with what it owns when it fails: then the reading ends too.
        let applying = async move {
            while let Some(record) = found.recv().await {
                let position = positions.get(&record.partition).copied().unwrap_or(BEGINNING);
                search.take(record, position).await?;
            }
            Ok::<(), ReconcileError>(())
        };
        let (scanned, applied) = tokio::join!(reading, applying);
        applied?;
        match scanned.ok_or(KafkaError::Canceled)?? {
            Scanned::Read => Ok(()),
            Scanned::NoTopic => Err(ReconcileError::NoTopic {
                topic: self.settings.topic_name(topic.name),
                program: self.settings.program.clone(),
            }),
        }
    }

    /// Where the consumer reads on in each partition.
    async fn positions(&self, topic: &str) -> sqlx::Result<BTreeMap<i32, i64>> {
        let partitions: Vec<_> =
            (0..self.settings.partitions).map(|number| (topic.to_owned(), number)).collect();
        let positions = positions::select(self.outbox.pool(), &partitions).await?;
        Ok(positions.into_iter().map(|((_, number), position)| (number, position.next)).collect())
    }

    /// Notes, and applies, a record that its aggregate has not seen.
    async fn take(&mut self, record: Record, position: i64) -> Result<(), ReconcileError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (partition, offset) = (record.partition, record.offset);
        let event_type = record.ce_type().unwrap_or_default().to_owned();
        let key = record.key.as_deref().map(text).unwrap_or_default();
        let place = Place { partition, offset, event_type };
        let answer = if position == BEGINNING || offset >= position {
            Some(Answer::Unread(place))
        } else if self.dry_run {
            Some(Answer::Found(place))
        } else {
            let applied = self.apply(&record, place).await;
            applied.map_err(|failure| {
                let place = format!("{}/{partition}@{offset}", record.topic);
                ReconcileError::World { place, failure }
            })?
        };
        if let Some(answer) = answer {
            self.answers.entry(key).or_default().push(answer);
        }
        Ok(())
    }

    /// Applies a record in a transaction of its own; `None`: its type is not known here.
    async fn apply(&self, record: &Record, place: Place) -> Result<Option<Answer>, Failure> {
        let mut tx = self.outbox.begin().await?;
        let (records, condemned) = (std::slice::from_ref(record), &BTreeMap::new());
        let batch = Batch { records, condemned, guard: Guard::On };
        let handled = match self.subscription.handle(&mut tx, batch).await {
            Ok(handled) => handled,
            Err(Failure::Record { cause, .. } | Failure::SomeRecord(cause)) => {
                return Ok(Some(Answer::Refused(place, cause)));
            }
            Err(failure) => return Err(failure),
        };
        Ok(match handled.outcomes.first() {
            Some(Outcome::Applied) => {
                tx.commit().await?;
                Some(Answer::Applied(place))
            }
            Some(Outcome::Dead) => {
                Some(Answer::Refused(place, handled.causes.into_values().next().unwrap_or_default()))
            }
            // By the consumer, in the meantime.
            Some(Outcome::Repeated) => Some(Answer::Applied(place)),
            Some(Outcome::Skipped) | None => None,
        })
    }
}

/// Reads the topic, and sends on the records that aggregates in `seen` have not seen, each sequence once. Blocks.
fn read(
    settings: &Settings,
    topic: &str,
    since: Option<OffsetDateTime>,
    mut seen: HashMap<String, Sequence>,
    found: &mpsc::Sender<Record>,
) -> Result<Scanned, KafkaError> {
    scan::scan(settings, topic, since, |record| {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let Some(seen) = key.and_then(|key| seen.get_mut(key)) else { return ControlFlow::Continue(()) };
        // What has no sequence is no event of ours: the consumer has made it a dead letter.
        let Ok(headers) = Headers::read(|name| record.header(name)) else { return ControlFlow::Continue(()) };
        if headers.sequence <= *seen {
            return ControlFlow::Continue(());
        }
        *seen = headers.sequence;
        match found.blocking_send(record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
}
