//! Positions that the log does not have: that partition stops with an alarm that names the command, the others go on.

use broker::{Consumer, ConsumerError, ConsumerStatus, RewindTo, Settings, Subscription};
use envelope::Event as _;
use sqlx::Executor as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::events::Deposits;
use crate::ledger::Ledger;
use crate::support::{Bank, Raw, says, until};

fn deposits(account: &str, count: usize) -> Vec<Raw> {
    (1..=count).map(|sequence| Raw::deposit(account, sequence, 1)).collect()
}

async fn alarm(status: &mut watch::Receiver<ConsumerStatus>) -> String {
    let stopped = says(status, "something stops", |status| !status.stopped.is_empty()).await;
    assert!(!stopped.is_consuming());
    assert_eq!(stopped.stopped.len(), 1, "{stopped:?}");
    stopped.stopped[0].clone()
}

async fn all_clear(status: &mut watch::Receiver<ConsumerStatus>) {
    says(status, "all is clear", ConsumerStatus::is_consuming).await;
}

#[tokio::test]
async fn retention_that_overtook_the_reader_is_told_with_what_is_gone() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 5)).await;
    bank.pool("ledger").execute("INSERT INTO broker.positions VALUES ('deposits', 0, 1)").await.unwrap();
    bank.delete_records("deposits", 0, 4).await;
    let mut status = bank.run_ledger();
    let told = alarm(&mut status).await;
    assert!(told.contains("deposits/0 stops: 3 records before offset 4 were deleted unread"), "{told}");
    assert!(told.contains("Run: ledger rewind deposits --to beginning"), "{told}");
    bank.produce("deposits", 1, &deposits("bob", 2)).await;
    until("the others go on", async || bank.bookings().await == 2).await;
    assert_eq!(bank.position(0).await, 1, "never a silent jump");

    bank.rewind(RewindTo::Beginning).await.unwrap();
    until("what is left is booked", async || bank.bookings().await == 3).await;
    all_clear(&mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn a_position_beyond_the_end_is_told() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 2)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(2).await;
    // As after a log was restored from an older copy.
    bank.pool("ledger")
        .execute("UPDATE broker.positions SET next_offset = 7 WHERE partition = 0")
        .await
        .unwrap();
    let told = alarm(&mut status).await;
    assert!(told.contains("the log ends at 2, before our position 7"), "{told}");
    bank.produce("deposits", 1, &deposits("bob", 2)).await;
    bank.booked_once_and_in_order(4).await;
    bank.rewind(RewindTo::Beginning).await.unwrap();
    all_clear(&mut status).await;
    bank.booked_once_and_in_order(4).await;
    bank.close().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_and_made_anew_while_it_is_read_is_told() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 3)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(3).await;
    bank.delete_topics(&["deposits"]).await;
    let told = alarm(&mut status).await;
    assert!(told.contains("is missing; run: ledger migrate"), "{told}");
    broker::topics::create(&bank.settings("ledger"), &[Deposits::TOPIC]).await.unwrap();
    bank.produce("deposits", 0, &deposits("bob", 1)).await;
    let anew =
        |status: &ConsumerStatus| status.stopped.first().is_some_and(|told| told.contains("made anew"));
    says(&mut status, "the log was made anew", anew).await;
    bank.rewind(RewindTo::Beginning).await.unwrap();
    bank.booked_once_and_in_order(4).await;
    all_clear(&mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_with_a_sentence() {
    let bank = Bank::open().await;
    let settings = Settings { partitions: 5, ..bank.settings("ledger") };
    let consumer = Consumer::new(settings, bank.ledger.clone(), vec![Subscription::new(Ledger)]);
    let Err(ConsumerError::Topics(refused)) = consumer.run(CancellationToken::new()).await else {
        panic!("it reads")
    };
    let told = refused.to_string();
    assert!(told.contains("has 3 partitions and TOPIC_PARTITIONS is 5"), "{told}");
    bank.close().await;
}
