//! Events that are withdrawn from the outbox while Kafka is away.

use crate::private::PrivateBank;
use crate::support::accounts::{ACCOUNT, append_state, erase};
use crate::support::until;

#[tokio::test]
async fn events_that_were_withdrawn_while_kafka_was_away_are_never_published() {
    let bank = PrivateBank::open().await;
    bank.kafka().kill();
    let ledger = bank.process("ledger").without_topics().start();
    append_state(&bank).await;
    ledger.says("Kafka cannot be reached").await;
    erase(&bank).await;
    assert_eq!(bank.outbox_rows("ledger").await, 1, "only the tombstone waits");

    bank.kafka().start().await.unwrap();
    until("the tombstone is published", async || !bank.balances(ACCOUNT).await.is_empty()).await;
    let records = bank.balances(ACCOUNT).await;
    assert!(records.len() == 1 && records[0].value.is_none(), "{records:?}");
    bank.close().await;
}
