//! Corrections of existing topics.

use std::time::Duration;

use envelope::Event as _;

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
