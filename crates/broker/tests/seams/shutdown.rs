//! A process that is asked to stop does so within a bound, and nothing is handled twice because of it.

use std::time::Duration;

use broker::{Consumer, Subscription};
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::support::{Bank, says};

const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dave"];

#[tokio::test]
async fn shutdown_under_load_is_quick_and_repeats_nothing() {
    let bank = Bank::open().await;
    let mut services = [bank.process("till").start(), bank.process("ledger").start()];
    let stops = async {
        bank.booked_at_least(100).await;
        for service in &mut services {
            let took = service.stop().await;
            assert!(took < Duration::from_secs(3), "it took {took:?}");
        }
    };
    tokio::join!(bank.deposit(&ACCOUNTS, 300), stops);
    let _again = [bank.process("till").start(), bank.process("ledger").start()];
    bank.booked_once_and_in_order(1200).await;
    assert_eq!(bank.records("deposits").await.len(), 1200, "nothing was published twice");
    let balances = bank.records("balances").await;
    let sequences: Vec<_> =
        balances.iter().map(|raw| (raw.key.clone(), raw.header("ce_sequence").map(str::to_owned))).collect();
    let mut distinct = sequences.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(sequences.len(), distinct.len(), "nor by the ledger");
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_dropped_does_not_block_the_process() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let consumer =
        Consumer::new(bank.settings("ledger"), bank.ledger.clone(), vec![Subscription::new(Ledger)]);
    let mut status = consumer.status();
    let running = tokio::spawn(consumer.run(CancellationToken::new()));
    says(&mut status, "it reads", broker::ConsumerStatus::is_consuming).await;
    running.abort();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await.unwrap();
    assert!(ended.unwrap_err().is_cancelled());
    bank.close().await;
}
