//! Applies one topic's records of a batch, retrying until the transaction commits.
//!
//! A batch is one transaction of positions, effects, events and dead letters. When a record of it can never be applied, the
//! batch is divided until that record is alone, and it becomes a dead letter (if Postgres refuses it: after a second
//! refusal). For any other cause the batch is tried again as its subscription's [`Policy`] says.

mod attempt;
mod dead_letter_limit;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::attempt::Attempt;
use self::dead_letter_limit::{DeadLetterLimit, TOO_MANY};
use self::report::RestoredPublishers;
use super::shared::Shared;
use crate::assignment::Assignment;
use crate::failure::Failure;
use crate::handler::Subscription;
use crate::parts::Parts;
use crate::policy::{Backoff, Policy};
use crate::record::Record;

/// The result of applying a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchResult {
    /// The whole batch is in the database.
    Committed,
    /// Another transaction moved a position; the positions must be read again. Parts that were committed before count.
    Stale,
    /// The process must stop.
    Stopped,
}

pub(super) struct Applier {
    shared: Arc<Shared>,
    stop: CancellationToken,
    dead_letter_limit: DeadLetterLimit,
    restored_publishers: RestoredPublishers,
}

impl Applier {
    pub(super) fn new(shared: Arc<Shared>, stop: CancellationToken) -> Self {
        let (dead_letter_limit, restored_publishers) =
            (DeadLetterLimit::default(), RestoredPublishers::default());
        Self { shared, stop, dead_letter_limit, restored_publishers }
    }

    /// Applies `records`, which are all of one topic and in log order, and advances the positions.
    pub(super) async fn apply(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        assignment: &Assignment,
    ) -> BatchResult {
        let policy = subscription.policy();
        let (mut refusals, mut backoff) = (Refusals::new(policy, records.len()), Backoff::new(policy.pauses));
        let mut parts = Parts::whole(records.len());
        while let Some(part) = parts.take_next() {
            let rejected = &refusals.rejected;
            let wait = match self.attempt(subscription, records, &part, rejected, assignment).await {
                Ok(Attempt::Committed(_)) => {
                    backoff = Backoff::new(policy.pauses);
                    continue;
                }
                Ok(Attempt::Stale) => {
                    // An attempt whose answer was lost may have committed.
                    self.shared.status.send_if_modified(|status| status.stuck.take().is_some());
                    return BatchResult::Stale;
                }
                Ok(Attempt::TooManyDeadLetters) => {
                    self.report_stuck(subscription, TOO_MANY);
                    parts.put_back(part);
                    true
                }
                Err(failure) => {
                    self.report(subscription, &failure);
                    refusals.divide(&mut parts, part, failure)
                }
            };
            // Kafka is not polled meanwhile.
            if wait && self.stop.run_until_cancelled(tokio::time::sleep(backoff.pause())).await.is_none() {
                return BatchResult::Stopped;
            }
        }
        BatchResult::Committed
    }

    fn report(&self, subscription: &Subscription, failure: &Failure) {
        match failure {
            Failure::Busy(_) | Failure::Retry(_) => self.report_stuck(subscription, &failure.to_string()),
            Failure::Record { .. } | Failure::SomeRecord(_) => {
                let topic = subscription.topic().name;
                tracing::debug!(topic, error = %failure, "a record of a batch cannot be applied");
            }
        }
    }

    /// Reports why a batch waits: in the status, and in the log when the cause is another one than before.
    fn report_stuck(&self, subscription: &Subscription, cause: &str) {
        let topic = subscription.topic().name;
        metrics::counter!("consumer_retries_total").increment(1);
        let stuck = Some(format!("{topic}: {cause}"));
        let is_new = self
            .shared
            .status
            .send_if_modified(|status| std::mem::replace(&mut status.stuck, stuck.clone()) != stuck);
        if is_new {
            tracing::error!(topic, error = cause, "a batch cannot be applied; retrying until it can");
        }
    }
}

struct Refusals {
    policy: Policy,
    /// Records that Postgres has refused once. The cause may have been another transaction at the same row (a unique or
    /// foreign key).
    suspected: BTreeSet<usize>,
    /// Records that become dead letters, with the causes.
    rejected: BTreeMap<usize, String>,
    /// The number of failed attempts that each record was part of.
    failed: Vec<u32>,
}

impl Refusals {
    fn new(policy: Policy, length: usize) -> Self {
        Self { policy, suspected: BTreeSet::new(), rejected: BTreeMap::new(), failed: vec![0; length] }
    }

    /// Puts a failed part back, divided and with a record rejected as the failure requires. Returns whether to wait before
    /// the next attempt.
    fn divide(&mut self, parts: &mut Parts, part: Range<usize>, failure: Failure) -> bool {
        let is_exhausted = self.count(&part, &failure);
        match failure {
            Failure::Record { index, cause } => {
                let index = part.start + index;
                parts.put_back_around(&part, index);
                self.reject(index, cause)
            }
            Failure::SomeRecord(cause) if part.len() == 1 => {
                let index = part.start;
                parts.put_back(part);
                !self.suspected.insert(index) && self.reject(index, cause)
            }
            Failure::SomeRecord(_) => {
                parts.put_back_halves(&part);
                false
            }
            failure if is_exhausted && part.len() == 1 => {
                let (index, attempts) = (part.start, self.failed[part.start]);
                parts.put_back(part);
                self.reject(index, format!("not applied in {attempts} attempts: {failure}"))
            }
            _ if is_exhausted => {
                parts.put_back_halves(&part);
                false
            }
            Failure::Busy(_) => {
                parts.put_back_halves(&part);
                true
            }
            Failure::Retry(_) => {
                parts.put_back(part);
                true
            }
        }
    }

    /// Rejects a record. Returns `true` when it was rejected before: then something else is the cause of the failure.
    fn reject(&mut self, index: usize, cause: String) -> bool {
        self.rejected.insert(index, cause).is_some()
    }

    /// Counts a failed attempt, unless it was an outage or a record is known to be the cause. Returns whether the policy allows
    /// no further attempt at the part.
    fn count(&mut self, part: &Range<usize>, failure: &Failure) -> bool {
        let counts = matches!(failure, Failure::Busy(_) | Failure::Retry(_)) && !failure.is_outage();
        let Some(attempts) = self.policy.attempts.filter(|_| counts) else { return false };
        let failed = &mut self.failed[part.clone()];
        for failed in &mut *failed {
            *failed = failed.saturating_add(1);
        }
        failed.iter().all(|failed| *failed >= attempts.get())
    }
}

#[cfg(test)]
mod tests;
