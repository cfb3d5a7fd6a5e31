//! One reading of a topic, beside the running consumer: what aggregates wait for and have not seen is noted, or applied.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use envelope::{Cleanup, Headers, Sequence};
use rdkafka::error::KafkaError;
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc;

use super::{Answer, Awaited, Place, ReconcileError};
use crate::failure::Failure;
use crate::handler::{Batch, Guard, Outcome, Subscription};
use crate::positions::BEGINNING;
use crate::record::Record;
use crate::scan::{self, Scanned, Start};
use crate::settings::Settings;
use crate::tx::Outbox;
use crate::{kafka, positions};

/// Records between the thread that reads and the transaction that applies.
const BUFFER: usize = 64;
/// How far before the first aggregate began to wait the topic is read: its service's clock is not Kafka's.
const MARGIN: Duration = Duration::hours(1);

/// One reading of a topic for the answers of some aggregates.
pub(super) struct Search<'a> {
    pub settings: &'a Settings,
    pub outbox: &'a Outbox,
    pub subscription: &'a Subscription,
    pub dry_run: bool,
    /// What was found, by key.
    pub answers: BTreeMap<String, Vec<Answer>>,
}

impl Search<'_> {
    /// Reads the topic once, to the end that it has now.
    pub(super) async fn run(&mut self, awaited: &[Awaited]) -> Result<(), ReconcileError> {
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
                search.take(&record, position).await?;
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
    async fn take(&mut self, record: &Record, position: i64) -> Result<(), ReconcileError> {
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
            let applied = self.apply(record, place).await;
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
        let (records, rejected) = (std::slice::from_ref(record), &BTreeMap::new());
        let batch = Batch { records, rejected, guard: Guard::On };
        let handled = match self.subscription.apply(&mut tx, batch).await {
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
    let start = since.map_or(Start::Beginning, Start::Since);
    scan::scan(settings, topic, start, |record| {
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
