//! The crate's metrics. The embedding program chooses the recorder of the `metrics` crate.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes the crate's metrics. Call it once after the recorder is installed.
pub fn describe_metrics() {
    describe_gauge!("outbox_depth", Unit::Count, "Events in the outbox that Kafka has not acknowledged.");
    describe_gauge!("outbox_age_seconds", Unit::Seconds, "Age of the oldest event in the outbox.");
    describe_counter!("relay_published_total", Unit::Count, "Events that Kafka acknowledged, by topic.");
    describe_gauge!(
        "consumer_lag",
        Unit::Count,
        "Records between the position in the database and the end of the log, by topic and partition."
    );
    describe_histogram!("consumer_batch_size", Unit::Count, "Records that shared a transaction.");
    describe_histogram!(
        "consumer_handle_seconds",
        Unit::Seconds,
        "Time from the start of a batch to its commit, by topic."
    );
    describe_counter!("consumer_records_total", Unit::Count, "Records read, by topic, type and outcome.");
    describe_counter!(
        "consumer_retries_total",
        Unit::Count,
        "Batches that were tried again for a cause that is not one of their records."
    );
    describe_counter!(
        "consumer_gaps_total",
        Unit::Count,
        "Events that arrived after missing events of their key, by topic."
    );
    describe_counter!(
        "consumer_regenerated_total",
        Unit::Count,
        "Events applied regardless of their number, because their publisher's database was restored before, by topic."
    );
    describe_gauge!(
        "consumer_stopped_partitions",
        Unit::Count,
        "Partitions that are not read: their log was replaced, or they make no progress."
    );
    describe_counter!(
        "consumer_unverified_total",
        Unit::Count,
        "Times that a log could not be verified because the last applied record is no longer in it, by topic."
    );
    // Shows the counter before its first increment.
    metrics::counter!("consumer_retries_total").absolute(0);
    describe_counter!("dead_letters_total", Unit::Count, "Records that became dead letters, by topic.");
}
