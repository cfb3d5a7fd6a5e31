//! Events that are withdrawn from the outbox, as by an erasure while Kafka is away.

use crate::support::accounts::{ACCOUNT, append_state, erase};
use crate::support::{Bank, until};

#[tokio::test]
async fn an_event_that_is_withdrawn_while_it_is_sent_is_published_before_its_tombstone() {
    let bank = Bank::open().await;
    let ledger = bank.process("ledger").held_at("relay.sending").start();
    append_state(&bank).await;
    ledger.paused().await;
    erase(&bank).await;
    ledger.go_on();
    until("the tombstone is published", async || {
        bank.balances(ACCOUNT).await.last().is_some_and(|raw| raw.value.is_none())
    })
    .await;
    let sequences: Vec<_> = bank.balances(ACCOUNT).await;
    let sequences: Vec<_> = sequences.iter().map(|raw| raw.header("ce_sequence").unwrap()).collect();
    assert!(sequences.len() == 2 && sequences.is_sorted(), "{sequences:?}");
    bank.close().await;
}
