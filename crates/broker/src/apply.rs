//! Brings one topic's records of a batch into the database, whatever stands in the way.
//!
//! A batch is one transaction: positions, effects, events, dead letters. When some record is at fault the batch is halved
//! down to it, and it alone goes to the dead letters, if Postgres refuses it twice; when the world is at fault, the same batch is tried again for ever.

mod attempt;
mod dead_letter_limit;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::attempt::Attempt;
use self::dead_letter_limit::DeadLetterLimit;
use self::report::Regenerations;
use crate::backoff::Backoff;
use crate::consumer::{Assignment, ConsumerStatus};
use crate::failure::Failure;
use crate::handler::Subscription;
use crate::record::Record;
use crate::settings::Settings;
use crate::tx::Outbox;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// All of it is in the database.
    Done,
    /// Someone else was here meanwhile: read the positions again. What was settled before that counts.
    Stale,
    /// The process is to stop.
    Stopped,
}

pub(crate) struct Applier {
    settings: Settings,
    outbox: Outbox,
    status: watch::Sender<ConsumerStatus>,
    stop: CancellationToken,
    dead_letter_limit: DeadLetterLimit,
    regenerations: Regenerations,
}

impl Applier {
    pub(crate) fn new(
        settings: Settings,
        outbox: Outbox,
        status: watch::Sender<ConsumerStatus>,
        stop: CancellationToken,
    ) -> Self {
        let dead_letter_limit = DeadLetterLimit::limited_to(settings.dead_letter_limit);
        Self { settings, outbox, status, stop, dead_letter_limit, regenerations: Regenerations::default() }
    }

    /// Settles `records`, all of one topic and in log order, and moves the positions on.
    pub(crate) async fn settle(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        assignment: &Assignment,
    ) -> Applied {
        let (mut suspected, mut rejected) = (BTreeSet::new(), BTreeMap::new());
        let mut backoff = Backoff::new();
        // The parts that are not settled yet, the next one last.
        let mut open = Vec::from([Range { start: 0, end: records.len() }]);
        while let Some(range) = open.pop() {
            let failure = match self.attempt(subscription, records, &range, &rejected, assignment).await {
                Attempt::Done => {
                    backoff = Backoff::new();
                    continue;
                }
                Attempt::Stale => return Applied::Stale,
                Attempt::Failed(failure) => failure,
            };
            self.tell(subscription, &failure);
            let mut wait = false;
            match failure {
                Failure::Record { index, cause } => {
                    let index = range.start + index;
                    // Condemned already, and at fault again: then it is not the record.
                    wait = rejected.insert(index, cause).is_some();
                    open.extend(around(&range, index));
                }
                Failure::SomeRecord(cause) if range.len() == 1 => {
                    // The first time it may have met another transaction at the same row (a unique or foreign key).
                    let is_known = !suspected.insert(range.start);
                    wait = is_known && rejected.insert(range.start, cause).is_some();
                    open.push(range);
                }
                Failure::SomeRecord(_) => open.extend(halves(&range)),
                Failure::Busy(_) if range.len() > 1 => {
                    wait = true;
                    open.extend(halves(&range));
                }
                Failure::Busy(_) | Failure::Retry(_) => {
                    wait = true;
                    open.push(range);
                }
            }
            if wait && !self.wait_out(backoff.pause()).await {
                return Applied::Stopped;
            }
        }
        Applied::Done
    }

    /// Says, once per kind of trouble, why a batch does not go on.
    fn tell(&self, subscription: &Subscription, failure: &Failure) {
        let topic = subscription.topic().name;
        match failure {
            Failure::Busy(_) | Failure::Retry(_) => {
                metrics::counter!("consumer_retries_total").increment(1);
                let stuck = format!("{topic}: {failure}");
                if self.status.send_if_modified(|status| {
                    let news = status.stuck.as_ref() != Some(&stuck);
                    status.stuck = Some(stuck);
                    news
                }) {
                    tracing::error!(topic, error = %failure, "a batch cannot be applied; trying until it can");
                }
            }
            Failure::Record { .. } | Failure::SomeRecord(_) => {
                tracing::debug!(topic, error = %failure, "a record of a batch is at fault");
            }
        }
    }

    /// Waits without polling Kafka; `false`: the process is to stop.
    async fn wait_out(&self, pause: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}

/// The second half, then the first: the one on top of the stack is next.
fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

/// What is behind this record, the record by itself, and what is before it.
fn around(range: &Range<usize>, index: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = [index + 1..range.end, index..index + 1, range.start..index];
    parts.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_apart_without_losing_its_order() {
        let open = |parts: Vec<Range<usize>>| parts.into_iter().rev().flatten().collect::<Vec<_>>();
        assert_eq!(open(halves(&(3..8)).to_vec()), [3, 4, 5, 6, 7]);
        for index in 3..8 {
            assert_eq!(open(around(&(3..8), index).collect()), [3, 4, 5, 6, 7]);
        }
        assert_eq!(around(&(3..4), 3).count(), 1);
    }
}
