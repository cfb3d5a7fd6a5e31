//! Positions outside the log: the partition stops with an alarm that names the command, and the others continue.

use broker::{Consumer, ConsumerError, ConsumerStatus, Settings, Subscription};
use broker_ops::RewindTo;
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
    let stopped = says(status, "a partition stops", |status| !status.stopped.is_empty()).await;
    assert!(!stopped.is_consuming());
    assert_eq!(stopped.stopped.len(), 1, "{stopped:?}");
    stopped.stopped[0].clone()
}

async fn no_alarm(status: &mut watch::Receiver<ConsumerStatus>) {
    says(status, "there is no alarm", ConsumerStatus::is_consuming).await;
}

#[tokio::test]
async fn records_that_retention_deleted_unread_are_reported_with_their_number() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 5)).await;
    bank.pool("ledger").execute("INSERT INTO broker.positions VALUES ('deposits', 0, 1)").await.unwrap();
    bank.delete_records("deposits", 0, 4).await;
    let mut status = bank.run_ledger();
    let text = alarm(&mut status).await;
    assert!(text.contains("deposits/0 stops: retention deleted 3 records before offset 4 unread"), "{text}");
    assert!(text.contains("Run: ledger rewind deposits --to beginning"), "{text}");
    bank.produce("deposits", 1, &deposits("bob", 2)).await;
    until("the others continue", async || bank.bookings().await == 2).await;
    assert_eq!(bank.position(0).await, 1, "never a silent jump");

    bank.rewind(RewindTo::Beginning).await.unwrap();
    until("what is left is booked", async || bank.bookings().await == 3).await;
    no_alarm(&mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn a_position_beyond_the_end_is_reported() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 2)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(2).await;
    // As after a restore of the log from an older copy.
    bank.pool("ledger")
        .execute("UPDATE broker.positions SET next_offset = 7 WHERE partition = 0")
        .await
        .unwrap();
    let text = alarm(&mut status).await;
    assert!(text.contains("the log ends at 2, before position 7"), "{text}");
    bank.produce("deposits", 1, &deposits("bob", 2)).await;
    bank.booked_once_and_in_order(4).await;
    bank.rewind(RewindTo::Beginning).await.unwrap();
    no_alarm(&mut status).await;
    bank.booked_once_and_in_order(4).await;
    bank.close().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_and_created_again_while_it_is_read_is_reported() {
    let mut bank = Bank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 3)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(3).await;
    bank.delete_topics(&["deposits"]).await;
    let text = alarm(&mut status).await;
    assert!(text.contains("is missing; run: ledger migrate"), "{text}");
    broker_ops::topics::create(&bank.settings("ledger"), &[Deposits::TOPIC]).await.unwrap();
    bank.produce("deposits", 0, &deposits("bob", 1)).await;
    let created_again =
        |status: &ConsumerStatus| status.stopped.first().is_some_and(|text| text.contains("created again"));
    says(&mut status, "the log was created again", created_again).await;
    bank.rewind(RewindTo::Beginning).await.unwrap();
    bank.booked_once_and_in_order(4).await;
    no_alarm(&mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_with_an_explanation() {
    let bank = Bank::open().await;
    let settings = Settings { partitions: 5, ..bank.settings("ledger") };
    let consumer = Consumer::new(settings, bank.ledger.clone(), vec![Subscription::new(Ledger)]);
    let Err(ConsumerError::Topics(refused)) = consumer.run(CancellationToken::new()).await else {
        panic!("it reads")
    };
    let text = refused.to_string();
    assert!(text.contains("has 3 partitions and TOPIC_PARTITIONS is 5"), "{text}");
    bank.close().await;
}
