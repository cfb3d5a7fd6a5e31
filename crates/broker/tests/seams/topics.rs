//! Topics that are created, corrected and compared, also on a cluster that does not apply their settings.

use std::time::Duration;

use envelope::{Cleanup, Event as _, Topic};

use crate::events::Deposits;
use crate::support::{Bank, until};

#[tokio::test]
async fn changed_settings_are_corrected_and_additional_ones_stay() {
    let bank = Bank::open().await;
    let foreign = [("retention.ms", "1000"), ("cleanup.policy", "compact"), ("compression.type", "zstd")];
    bank.configure("deposits", &foreign).await;
    until("they are changed", async || bank.configured("deposits", "compression.type").await == "zstd").await;

    let settings = broker::Settings { retention: Some(Duration::from_hours(48)), ..bank.settings("till") };
    broker_ops::topics::create(&settings, &[Deposits::TOPIC]).await.unwrap();
    for (name, value) in [
        ("retention.ms", "172800000"),
        ("retention.bytes", "-1"),
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "zstd"),
    ] {
        until(&format!("{name} is {value}"), async || bank.configured("deposits", name).await == value).await;
    }
    bank.close().await;
}

/// A topic with personal data, whose erasure depends on the age of segments.
const PEOPLE: Topic =
    Topic { name: "people", owner: "till", key: "person", cleanup: Cleanup::Compact, personal: true };
const DAY: &str = "86400000";

/// Returns what a Kafka does not apply to [`PEOPLE`] when the value of `segment.ms` is replaced on its way there.
async fn differences_when_segment_ms_becomes(bank: &Bank, other: &str) -> Vec<String> {
    let kafka = bank.kafka_that_replaces("segment.ms", DAY, other).await;
    let settings = broker::Settings { brokers: kafka, ..bank.settings("till") };
    let found = broker_ops::topics::create(&settings, &[PEOPLE]).await.unwrap();
    assert_eq!(broker_ops::topics::differences(&settings, &[PEOPLE]).await.unwrap(), found);
    found.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_setting_that_the_cluster_replaces_is_reported_with_its_promise_at_the_first_creation_too() {
    let bank = Bank::open().await;
    let found = differences_when_segment_ms_becomes(&bank, "99999999").await;
    let topic = bank.topic("people");
    let expected = format!(
        "erasure within three days: not on this cluster, topic {topic}: segment.ms is 99999999 instead of at most {DAY}"
    );
    assert_eq!(found, [expected]);
    bank.delete_topics(&["people"]).await;
    bank.close().await;
}

#[tokio::test]
async fn a_setting_that_the_cluster_refuses_is_left_out_and_reported() {
    let bank = Bank::open().await;
    // Kafka refuses a negative age.
    let found = differences_when_segment_ms_becomes(&bank, "-9999999").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("segment.ms is 604800000 instead of at most 86400000"), "{found:?}");
    assert_eq!(bank.configured("people", "max.compaction.lag.ms").await, DAY);
    assert_eq!(bank.configured("people", "cleanup.policy").await, "compact");
    bank.delete_topics(&["people"]).await;
    bank.close().await;
}

#[tokio::test]
async fn a_stricter_setting_keeps_the_promise() {
    let bank = Bank::open().await;
    assert_eq!(differences_when_segment_ms_becomes(&bank, "11111111").await, Vec::<String>::new());
    bank.delete_topics(&["people"]).await;
    bank.close().await;
}

#[tokio::test]
async fn differences_of_topics_that_somebody_else_owns_are_reported_and_not_corrected() {
    let bank = Bank::open().await;
    bank.configure("deposits", &[("cleanup.policy", "delete"), ("retention.ms", "1000")]).await;
    let settings = bank.settings("ledger");
    until("they are changed", async || bank.configured("deposits", "retention.ms").await == "1000").await;
    let found = broker_ops::topics::differences(&settings, &[Deposits::TOPIC]).await.unwrap();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(texts.iter().any(|text| text.contains("retention.ms is 1000 instead of -1")), "{texts:?}");
    assert_eq!(bank.configured("deposits", "retention.ms").await, "1000");

    let yaml = broker_ops::topics::manifests(&settings, &[PEOPLE]).await.unwrap();
    let people = bank.topic("people");
    for line in [
        format!("  topicName: {people}"),
        "  partitions: 3".to_owned(),
        "  replicas: 1".to_owned(),
        format!("    segment.ms: \"{DAY}\""),
    ] {
        assert!(yaml.lines().any(|found| found == line), "{line} in {yaml}");
    }
    let missing = broker_ops::topics::differences(&settings, &[PEOPLE]).await.unwrap_err().to_string();
    assert!(missing.contains(&format!("topic {people} is missing")), "{missing}");
    bank.close().await;
}
