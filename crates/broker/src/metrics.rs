//! What the crate counts and measures, by the `metrics` crate's macros; where it goes is the embedder's choice.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Tells the recorder what the crate's metrics mean. To be called once it is installed.
pub fn describe_metrics() {
    describe_gauge!("outbox_depth", Unit::Count, "Events in the outbox that Kafka has not acknowledged.");
    describe_gauge!(
        "outbox_age_seconds",
        Unit::Seconds,
        "How long the oldest event of the outbox has waited."
    );
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
        "How long a batch took until its commit, by topic."
    );
    describe_counter!(
        "consumer_records_total",
        Unit::Count,
        "Records read, by topic, type and what came of them."
    );
    describe_counter!(
        "consumer_retries_total",
        Unit::Count,
        "Batches that were tried again because of the world, not of a record."
    );
    describe_counter!(
        "consumer_gaps_total",
        Unit::Count,
        "Events that came after missing ones of their key, by topic."
    );
    describe_counter!(
        "consumer_regenerated_total",
        Unit::Count,
        "Events applied whatever their number, since their publisher's database was restored before, by topic."
    );
    describe_gauge!(
        "consumer_stopped_partitions",
        Unit::Count,
        "Partitions that are not read: their log is not the one that was read, or they stand still."
    );
    describe_counter!(
        "consumer_unverified_total",
        Unit::Count,
        "Times that a log could not be verified since the last applied record is not kept any more, by topic."
    );
    // Without labels, it can be there before it counts.
    metrics::counter!("consumer_retries_total").absolute(0);
    describe_counter!("dead_letters_total", Unit::Count, "Records that went to the dead letters, by topic.");
}
