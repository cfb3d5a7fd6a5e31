//! Events that are withdrawn from the outbox, as an erasure does while Kafka is away.

use broker::Cause;
use envelope::Sequence;

use crate::events::{Account, Balance, Balances};
use crate::support::{Bank, until};

const ACCOUNT: &str = "zoe";

/// Appends a state of the account that is to be forgotten.
async fn append_state(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    let state = Balances::Changed(Balance { account: ACCOUNT.to_owned(), balance: 1 });
    tx.append(Cause::default(), Sequence::NONE.next(), &state).unwrap();
    tx.commit().await.unwrap();
}

/// Forgets the account: what waits of it is withdrawn in the transaction that appends its tombstone.
async fn forget(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    tx.withdraw::<Balances>(ACCOUNT).await.unwrap();
    let erased = Balances::Erased(Account { account: ACCOUNT.to_owned() });
    tx.append(Cause::default(), Sequence::NONE.next().next(), &erased).unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_was_withdrawn_while_kafka_was_away_is_never_published() {
    let bank = Bank::private().await;
    bank.servers.kafka().unwrap().kill();
    let ledger = bank.process("ledger").without_topics().start();
    append_state(&bank).await;
    ledger.says("Kafka cannot be reached").await;
    forget(&bank).await;
    assert_eq!(bank.outbox_rows("ledger").await, 1, "the tombstone alone waits");

    bank.servers.kafka().unwrap().start().await.unwrap();
    until("the tombstone is published", async || !bank.balances(ACCOUNT).await.is_empty()).await;
    let records = bank.balances(ACCOUNT).await;
    assert!(records.len() == 1 && records[0].value.is_none(), "{records:?}");
    bank.close().await;
}

#[tokio::test]
async fn what_was_about_to_be_sent_when_it_was_withdrawn_is_published_before_its_tombstone() {
    let bank = Bank::open().await;
    let ledger = bank.process("ledger").held_at("relay.sending").start();
    append_state(&bank).await;
    ledger.paused().await;
    forget(&bank).await;
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
