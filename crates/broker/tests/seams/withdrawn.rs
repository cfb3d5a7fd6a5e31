//! Events that are withdrawn from the outbox, as by an erasure while Kafka is away.

use broker::Cause;
use envelope::Sequence;

use crate::events::{Account, Balance, Balances};
use crate::support::{Bank, until};

const ACCOUNT: &str = "zoe";

/// Appends a state of the account that will be erased.
async fn append_state(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    let state = Balances::Changed(Balance { account: ACCOUNT.to_owned(), balance: 1 });
    tx.append(Cause::default(), Sequence::NONE.next(), &state).unwrap();
    tx.commit().await.unwrap();
}

/// Erases the account: withdraws its waiting events in the transaction that appends its tombstone.
async fn erase(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    tx.withdraw::<Balances>(ACCOUNT).await.unwrap();
    let erased = Balances::Erased(Account { account: ACCOUNT.to_owned() });
    tx.append(Cause::default(), Sequence::NONE.next().next(), &erased).unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn events_that_were_withdrawn_while_kafka_was_away_are_never_published() {
    let bank = Bank::private().await;
    bank.servers.kafka().unwrap().kill();
    let ledger = bank.process("ledger").without_topics().start();
    append_state(&bank).await;
    ledger.says("Kafka cannot be reached").await;
    erase(&bank).await;
    assert_eq!(bank.outbox_rows("ledger").await, 1, "only the tombstone waits");

    bank.servers.kafka().unwrap().start().await.unwrap();
    until("the tombstone is published", async || !bank.balances(ACCOUNT).await.is_empty()).await;
    let records = bank.balances(ACCOUNT).await;
    assert!(records.len() == 1 && records[0].value.is_none(), "{records:?}");
    bank.close().await;
}

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
