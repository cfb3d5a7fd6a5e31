//! Reads a topic once, beside the running consumer, and notes or applies the events that aggregates wait for.

use std::collections::{BTreeMap, HashMap};

use broker::maintenance::{BEGINNING, Guard, Outcome, Record, stored_positions};
use broker::{Failure, Outbox, Settings, Subscription};
use envelope::{Cleanup, Headers, Sequence};
use time::Duration;

use super::{Answer, Awaited, Place};
use crate::error::OpsError;
use crate::scan::{Scan, Start};
use crate::{apply, logs};

/// How far before the first aggregate began to wait the reading starts, because the service's clock is not Kafka's.
const MARGIN: Duration = Duration::hours(1);

/// One reading of a topic for the events that some aggregates wait for.
pub(super) struct Search<'a> {
    pub settings: &'a Settings,
    pub outbox: &'a Outbox,
    pub subscription: &'a Subscription,
    pub dry_run: bool,
    /// The events found, by key.
    pub answers: BTreeMap<String, Vec<Answer>>,
}

impl Search<'_> {
    /// Reads the topic once, to its present end.
    pub(super) async fn run(&mut self, awaited: &[Awaited]) -> Result<(), OpsError> {
        let topic = self.subscription.topic();
        let positions = self.positions(topic.name).await?;
        let since =
            awaited.iter().map(|awaited| awaited.since).min().and_then(|since| since.checked_sub(MARGIN));
        // A compacted topic keeps the last event of a key, however old it is.
        let since = since.filter(|_| topic.cleanup == Cleanup::Delete);
        let mut last: HashMap<_, _> =
            awaited.iter().map(|awaited| (awaited.key.clone(), awaited.last_sequence)).collect();
        let start = since.map_or(Start::Beginning, Start::Since);
        let Some(mut scan) = Scan::open(self.settings, topic.name, start).await? else {
            return Err(OpsError::no_topic(self.settings, topic.name));
        };
        while let Some(records) = scan.next().await? {
            for record in records.iter().filter(|record| is_awaited(&mut last, record)) {
                let position = positions.get(&record.partition).copied().unwrap_or(BEGINNING);
                self.take(record, position).await?;
            }
        }
        Ok(())
    }

    async fn positions(&self, topic: &str) -> sqlx::Result<BTreeMap<i32, i64>> {
        let partitions = logs::partitions(self.settings, topic);
        let stored = stored_positions(self.outbox.pool(), &partitions).await?;
        Ok(stored.into_iter().map(|((_, number), stored)| (number, stored.next())).collect())
    }

    /// Notes a record that its aggregate waits for, and applies it unless this is a dry run.
    async fn take(&mut self, record: &Record, position: i64) -> Result<(), OpsError> {
        let (partition, offset) = (record.partition, record.offset);
        let event_type = record.ce_type().unwrap_or_default().to_owned();
        let key = record.key_text().unwrap_or_default().to_owned();
        let place = Place { partition, offset, event_type };
        let answer = if position == BEGINNING || offset >= position {
            Some(Answer::Unread(place))
        } else if self.dry_run {
            Some(Answer::Found(place))
        } else {
            let applied = self.apply(record, place).await;
            applied.map_err(|failure| OpsError::handler(record, failure))?
        };
        if let Some(answer) = answer {
            self.answers.entry(key).or_default().push(answer);
        }
        Ok(())
    }

    /// Applies a record in a transaction of its own; `None`: its type is unknown.
    async fn apply(&self, record: &Record, place: Place) -> Result<Option<Answer>, Failure> {
        let mut tx = self.outbox.begin().await?;
        Ok(match apply::one(&mut tx, self.subscription, record, Guard::On).await? {
            Outcome::Applied => {
                tx.commit().await?;
                Some(Answer::Applied(place))
            }
            Outcome::Dead(cause) => Some(Answer::Refused(place, cause)),
            // The consumer has applied it meanwhile.
            Outcome::Repeated => Some(Answer::Applied(place)),
            Outcome::Skipped => None,
        })
    }
}

/// Returns whether the record has a higher sequence than the last one of its aggregate, which it replaces in `last`.
fn is_awaited(last: &mut HashMap<String, Sequence>, record: &Record) -> bool {
    let Some(last) = record.key_text().and_then(|key| last.get_mut(key)) else { return false };
    // A record without a readable sequence is not an event: the consumer has made it a dead letter.
    let Ok(headers) = Headers::read(|name| record.header(name)) else { return false };
    let is_new = headers.sequence > *last;
    if is_new {
        *last = headers.sequence;
    }
    is_new
}
