//! What is told of a committed batch: metrics, and a log line for what somebody should know.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fold::{Handled, Outcome, Subscription};
use crate::record::Record;

#[expect(clippy::cast_precision_loss, reason = "a histogram")]
pub(super) fn count(
    subscription: &Subscription,
    records: &[Record],
    handled: &Handled,
    new_letters: usize,
    took: Duration,
) {
    let topic = subscription.topic().name;
    metrics::histogram!("consumer_batch_size").record(records.len() as f64);
    metrics::histogram!("consumer_handle_seconds", "topic" => topic).record(took.as_secs_f64());
    metrics::counter!("dead_letters_total", "topic" => topic).increment(new_letters as u64);
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    for (record, outcome) in records.iter().zip(&handled.outcomes) {
        // The type of what was not understood comes from outside: any text, as many as one likes.
        let understood = matches!(outcome, Outcome::Applied | Outcome::Repeated);
        let ce_type = record.ce_type().filter(|_| understood).unwrap_or("unknown");
        *counts.entry((ce_type, outcome.label())).or_default() += 1;
        let (partition, offset, outcome) = (record.partition, record.offset, outcome.label());
        tracing::debug!(topic, partition, offset, ce_type, outcome);
    }
    for ((ce_type, outcome), n) in counts {
        metrics::counter!(
            "consumer_records_total", "topic" => topic, "type" => ce_type.to_owned(), "outcome" => outcome
        )
        .increment(n);
        if outcome == Outcome::Skipped.label() {
            tracing::warn!(topic, n, "skipped events of types that are not known here");
        }
    }
    for (index, missing) in &handled.gaps {
        let Record { partition, offset, .. } = records[*index];
        metrics::counter!("consumer_gaps_total", "topic" => topic).increment(1);
        tracing::error!(topic, partition, offset, missing, "events of a key are missing before this one");
    }
}
