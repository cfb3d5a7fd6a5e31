//! One transaction over a part of a batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use super::dead_letter_limit::TOO_MANY;
use super::{Applier, report};
use crate::consumer::Assignment;
use crate::dead_letter;
use crate::failure::Failure;
use crate::handler::{Batch, Guard, Handled, Outcome, Subscription};
use crate::pause;
use crate::positions::{self, Advanced, Position, Positions, Step};
use crate::record::Record;
use crate::trace;

/// How it ended.
pub(super) enum Attempt {
    Done,
    Stale,
    Failed(Failure),
}

/// A committed part: what became of its records, and how many dead letters in a row there are now.
struct Committed {
    handled: Handled,
    new_letters: usize,
    deaths_in_a_row: u64,
}

impl Applier {
    /// Settles the `range` of `records` in one transaction, or nothing.
    pub(super) async fn attempt(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        range: &Range<usize>,
        rejected: &BTreeMap<usize, String>,
        assignment: &Assignment,
    ) -> Attempt {
        let started = Instant::now();
        let records = &records[range.clone()];
        let rejected = rejected.range(range.clone()).map(|(at, cause)| (at - range.start, cause.clone()));
        let rejected = rejected.collect();
        let batch = Batch { records, rejected: &rejected, guard: Guard::On };
        let steps = assignment.steps(ends(records, &self.settings.topic_name(subscription.topic().name)));
        let committed = match self.transact(subscription, batch, &steps).await {
            Ok(Some(committed)) => committed,
            Ok(None) => return Attempt::Stale,
            Err(failure) => return Attempt::Failed(failure),
        };
        assignment.advance(steps);
        self.dead_letter_limit.set(subscription.topic().name, committed.deaths_in_a_row);
        self.status.send_if_modified(|status| status.stuck.take().is_some());
        let took = started.elapsed();
        report::count(subscription, records, &committed.handled, committed.new_letters, took);
        self.regenerations.report(subscription.topic().name, records, &committed.handled.regenerated);
        trace::handled(subscription.topic().name, records, &committed.handled.outcomes, took);
        Attempt::Done
    }

    /// `None`: someone else was here meanwhile.
    async fn transact(
        &self,
        subscription: &Subscription,
        batch: Batch<'_>,
        steps: &[Step],
    ) -> Result<Option<Committed>, Failure> {
        let topic = subscription.topic();
        let mut tx = self.outbox.begin().await?;
        let advanced = positions::advance(&mut tx, steps).await?;
        if advanced == Advanced::Stale {
            return Ok(None);
        }
        let handled = subscription.apply(&mut tx, batch).await?;
        let dead: Vec<_> =
            handled.causes.iter().map(|(index, cause)| (&batch.records[*index], cause.as_str())).collect();
        let new_letters = dead_letter::write(&mut tx, &self.settings, topic, &dead).await?;
        // Who was dead before says nothing about the deployment.
        let is_news = |(record, outcome): &(&Record, &Outcome)| {
            **outcome != Outcome::Dead || new_letters.contains(&(record.partition, record.offset))
        };
        let outcomes = batch.records.iter().zip(&handled.outcomes).filter(is_news);
        let Some(deaths_in_a_row) =
            self.dead_letter_limit.after(topic.name, outcomes.map(|(_, outcome)| *outcome))
        else {
            return Err(Failure::Retry(TOO_MANY.into()));
        };
        if advanced == Advanced::OverDeadLetters {
            let applied = batch.records.iter().zip(&handled.outcomes);
            let applied = applied.filter(|(_, outcome)| **outcome == Outcome::Applied);
            let applied = applied.map(|(record, _)| record);
            dead_letter::mark_redriven(&mut tx, &self.settings, topic, applied).await?;
        }
        pause::at("consumer.applied").await;
        tx.commit().await?;
        pause::at("consumer.committed").await;
        Ok(Some(Committed { handled, new_letters: new_letters.len(), deaths_in_a_row }))
    }
}

/// Where each partition is read on after these records of the topic with this full name.
fn ends(records: &[Record], full_name: &str) -> Positions {
    let last: BTreeMap<i32, &Record> = records.iter().map(|record| (record.partition, record)).collect();
    last.into_values().map(|record| (record.origin(), Position::behind(record, full_name))).collect()
}
