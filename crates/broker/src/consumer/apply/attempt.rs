//! One transaction over a part of a batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use super::{Applier, Shared, report};
use crate::assignment::Assignment;
use crate::failure::Failure;
use crate::handler::{Batch, Guard, Handled, Outcome, Subscription};
use crate::positions::{self, Position, PositionUpdate, Positions, Updated};
use crate::record::Record;
use crate::{dead_letter, pause, trace};

pub(super) enum Attempt {
    Committed(Committed),
    /// Another transaction moved a position.
    Stale,
    /// The part would exceed the limit of dead letters in a row.
    TooManyDeadLetters,
}

/// A committed part: the outcomes of its records, and how many dead letters in a row there are now.
pub(super) struct Committed {
    handled: Handled,
    new_dead_letters: usize,
    dead_in_a_row: u64,
}

impl Applier {
    /// Applies a part of `records` in one transaction, completely or not at all.
    pub(super) async fn attempt(
        &mut self,
        subscription: &Subscription,
        records: &[Record],
        part: &Range<usize>,
        rejected: &BTreeMap<usize, String>,
        assignment: &Assignment,
    ) -> Result<Attempt, Failure> {
        let started = Instant::now();
        let topic = subscription.topic().name;
        let records = &records[part.clone()];
        let rejected = rejected.range(part.clone()).map(|(at, cause)| (at - part.start, cause.clone()));
        let rejected = rejected.collect();
        let batch = Batch { records, rejected: &rejected, guard: Guard::On };
        let updates = assignment.updates(ends(records, &self.shared.settings.topic_name(topic)));
        let attempt = self.transact(subscription, batch, &updates).await?;
        let Attempt::Committed(Committed { handled, new_dead_letters, dead_in_a_row }) = &attempt else {
            return Ok(attempt);
        };
        assignment.advance(updates);
        self.dead_letter_limit.set(topic, *dead_in_a_row);
        self.shared.status.send_if_modified(|status| status.stuck.take().is_some());
        let took = started.elapsed();
        report::count(subscription, records, handled, *new_dead_letters, took);
        self.restored_publishers.report(topic, records, &handled.regenerated);
        trace::handled(topic, records, &handled.outcomes, took);
        Ok(attempt)
    }

    async fn transact(
        &self,
        subscription: &Subscription,
        batch: Batch<'_>,
        updates: &[PositionUpdate],
    ) -> Result<Attempt, Failure> {
        let (topic, Shared { settings, outbox, .. }) = (subscription.topic(), &*self.shared);
        let mut tx = outbox.begin().await?;
        let position = positions::update(&mut tx, updates).await?;
        if position == Updated::Stale {
            return Ok(Attempt::Stale);
        }
        let handled = subscription.apply(&mut tx, batch).await?;
        let outcomes = || batch.records.iter().zip(&handled.outcomes);
        let dead = outcomes().filter_map(|(record, outcome)| match outcome {
            Outcome::Dead(cause) => Some((record, cause.as_str())),
            Outcome::Applied | Outcome::Repeated | Outcome::Skipped => None,
        });
        let dead: Vec<_> = dead.collect();
        let new = dead_letter::write(&mut tx, settings, topic, &dead).await?;
        // A record that was dead before says nothing about the present deployment.
        let is_new = |(record, outcome): &(&Record, &Outcome)| {
            !matches!(outcome, Outcome::Dead(_)) || new.contains(&(record.partition, record.offset))
        };
        let limit = subscription.policy().dead_letter_limit.unwrap_or(settings.dead_letter_limit);
        let counted = outcomes().filter(is_new).map(|(_, outcome)| outcome);
        let Some(dead_in_a_row) = self.dead_letter_limit.after(topic.name, limit, counted) else {
            return Ok(Attempt::TooManyDeadLetters);
        };
        if position == Updated::AdvancedOverDeadLetters {
            let applied = outcomes().filter(|(_, outcome)| **outcome == Outcome::Applied);
            let applied = applied.map(|(record, _)| record);
            dead_letter::mark_redriven(&mut tx, settings, topic, applied).await?;
        }
        pause::at("consumer.applied").await;
        tx.commit().await?;
        pause::at("consumer.committed").await;
        Ok(Attempt::Committed(Committed { new_dead_letters: new.len(), handled, dead_in_a_row }))
    }
}

/// Returns the position of each partition after these records of the topic with this full name.
fn ends(records: &[Record], full_name: &str) -> Positions {
    let last: BTreeMap<i32, &Record> = records.iter().map(|record| (record.partition, record)).collect();
    last.into_values().map(|record| (record.origin(), Position::after(record, full_name))).collect()
}
