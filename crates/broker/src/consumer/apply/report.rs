//! Reports committed batches: metrics, and log lines for what an operator should know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envelope::names;

use crate::handler::{Handled, Outcome, Subscription};
use crate::record::Record;

/// The longest part of an unknown type that is logged, in characters.
const LONGEST_TYPE: usize = 100;
/// The largest number of unknown types, and of gaps, of a batch that are logged one by one.
const FEW: usize = 5;

#[expect(clippy::cast_precision_loss, reason = "a histogram")]
pub(super) fn count(
    subscription: &Subscription,
    records: &[Record],
    handled: &Handled,
    new_dead_letters: usize,
    took: Duration,
) {
    let topic = subscription.topic().name;
    metrics::histogram!("consumer_batch_size").record(records.len() as f64);
    metrics::histogram!("consumer_handle_seconds", "topic" => topic).record(took.as_secs_f64());
    metrics::counter!("dead_letters_total", "topic" => topic).increment(new_dead_letters as u64);
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
    for (record, outcome) in records.iter().zip(&handled.outcomes) {
        let Record { partition, offset, .. } = *record;
        tracing::debug!(
            topic,
            partition,
            offset,
            event_type = record.ce_type().map(shortened),
            outcome = outcome.label(),
            traceparent = record.traceparent(),
            "record"
        );
        // Unknown types come from outside: any text, and any number of them.
        let is_known = |ce_type: &&str| match outcome {
            Outcome::Applied | Outcome::Repeated => true,
            Outcome::Dead(_) => subscription.knows(ce_type),
            Outcome::Skipped => false,
        };
        let known = record.ce_type().filter(is_known).unwrap_or("unknown");
        *counts.entry((known, outcome.label())).or_default() += 1;
        if *outcome == Outcome::Skipped {
            *skipped.entry(record.ce_type().map(shortened).unwrap_or_default()).or_default() += 1;
        }
    }
    for ((known, outcome), n) in counts {
        metrics::counter!(
            "consumer_records_total", "topic" => topic, "type" => known.to_owned(), "outcome" => outcome
        )
        .increment(n);
    }
    let types = skipped.len();
    for (event_type, n) in skipped.into_iter().take(FEW) {
        tracing::warn!(topic, event_type, n, "skipped events of an unknown type");
    }
    if types > FEW {
        tracing::warn!(topic, more = types - FEW, "skipped events of further unknown types");
    }
    report_gaps(topic, records, &handled.gaps);
    let regenerated = handled.regenerated.len() as u64;
    metrics::counter!("consumer_regenerated_total", "topic" => topic).increment(regenerated);
}

/// Reports gaps: events that were published and never arrived, because their log lost them or retention deleted them unread.
fn report_gaps(topic: &'static str, records: &[Record], gaps: &BTreeMap<usize, u64>) {
    metrics::counter!("consumer_gaps_total", "topic" => topic).increment(gaps.len() as u64);
    for (index, missing) in gaps.iter().take(FEW) {
        let Record { partition, offset, .. } = records[*index];
        tracing::error!(
            topic,
            partition,
            offset,
            missing,
            "a gap: {missing} earlier events of this key were never received, and this event was applied without them. They have \
             no effect here when they are published again: compare the key's state with its publisher (docs/broker.md, \"A gap\")"
        );
    }
    if gaps.len() > FEW {
        tracing::error!(topic, more = gaps.len() - FEW, "gaps before further events");
    }
}

/// The topics, partitions and generations whose restored publishers are logged already.
#[derive(Debug, Default)]
pub(super) struct RestoredPublishers(BTreeSet<(&'static str, i32, String)>);

impl RestoredPublishers {
    /// Logs each generation once per partition.
    pub(super) fn report(&mut self, topic: &'static str, records: &[Record], regenerated: &BTreeSet<usize>) {
        for record in regenerated.iter().map(|index| &records[*index]) {
            let generation = record.header(names::GENERATION).unwrap_or_default();
            let generation = String::from_utf8_lossy(generation).into_owned();
            let (partition, offset) = (record.partition, record.offset);
            if self.0.insert((topic, partition, generation.clone())) {
                tracing::info!(
                    topic,
                    partition,
                    offset,
                    generation,
                    "the publisher's database was restored: events of the new generation are treated as newer than all earlier ones"
                );
            }
        }
    }
}

/// Shortens an unknown type for a log line.
fn shortened(ce_type: &str) -> String {
    ce_type.chars().take(LONGEST_TYPE).collect()
}
