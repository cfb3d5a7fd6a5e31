//! Logs that were truncated by a power cut or created again, and have grown past the position since. No record after the loss
//! is applied before the alarm's own command is run, which applies all records of the log.

use broker::ConsumerStatus;
use broker_ops::RewindTo;
use sqlx::Executor as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;

use crate::log_files::SPARE;
use crate::private::PrivateBank;
use crate::support::{Raw, says};

fn deposits(account: &str, count: usize) -> Vec<Raw> {
    (1..=count).map(|sequence| Raw::deposit(account, sequence, 1)).collect()
}

/// A bank with servers of its own and six deposits of alice's. Tests replace the last three by `others` of bob's.
async fn bank(others: usize) -> PrivateBank {
    let bank = PrivateBank::open().await;
    broker_ops::topics::create(&bank.settings("till"), &[]).await.unwrap();
    bank.produce_one_by_one("deposits", 0, &deposits("alice", 6)).await;
    bank.produce_one_by_one(SPARE, 0, &deposits("bob", others)).await;
    bank
}

/// Kills Kafka, replaces the last three deposits by the others, and starts it again.
async fn power_cut(bank: &PrivateBank) {
    let kafka = bank.kafka();
    kafka.kill();
    bank.replace_end(0, 3);
    kafka.start().await.unwrap();
}

async fn alarm(status: &mut watch::Receiver<ConsumerStatus>) -> String {
    let stopped = says(status, "a partition stops", |status| !status.stopped.is_empty()).await;
    assert!(!stopped.is_consuming());
    assert_eq!(stopped.stopped.len(), 1, "{stopped:?}");
    stopped.stopped[0].clone()
}

/// Runs the first command of the alarm. The owner need not publish again: it has lost nothing.
async fn run_command(bank: &PrivateBank, alarm: &str) {
    let (command, again) = alarm.rsplit("Run: ").next().unwrap().split_once(", then: ").unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let ["ledger", "rewind", "deposits", "--partition", partition, "--to", to] = words[..] else {
        panic!("{command}")
    };
    assert_eq!(again, format!("till republish deposits --since {to}"));
    let to = RewindTo::Time(OffsetDateTime::parse(to, &Rfc3339).unwrap());
    let (settings, pool) = (bank.settings("ledger"), bank.pool("ledger"));
    let partition = Some(partition.parse().unwrap());
    broker_ops::rewind(&settings, &pool, "deposits", partition, to).await.unwrap();
}

/// Checks that the partition is stopped, and that the repair books the replacing records and nothing twice.
async fn is_noticed_and_repaired(bank: &PrivateBank, status: &mut watch::Receiver<ConsumerStatus>) {
    let text = alarm(status).await;
    assert!(text.contains("deposits/0 stops: the log was truncated or created again"), "{text}");
    assert!(text.contains("has grown past position 6"), "{text}");
    assert_eq!(bank.bookings().await, 6, "no record after the loss was applied");
    assert_eq!(bank.position(0).await, 6, "never a silent jump");
    bank.produce("deposits", 1, &deposits("carol", 2)).await;
    bank.booked_once_and_in_order(8).await;
    run_command(bank, &text).await;
    bank.booked_once_and_in_order(12).await;
    says(status, "there is no alarm", ConsumerStatus::is_consuming).await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_and_grew_while_a_consumer_ran_is_noticed() {
    let mut bank = bank(4).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(6).await;
    power_cut(&bank).await;
    is_noticed_and_repaired(&bank, &mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_and_grew_while_no_consumer_ran_is_noticed() {
    let mut bank = bank(4).await;
    let mut ledger = bank.process("ledger").start();
    bank.booked_once_and_in_order(6).await;
    ledger.stop().await;
    power_cut(&bank).await;
    let mut status = bank.run_ledger();
    is_noticed_and_repaired(&bank, &mut status).await;
    bank.close().await;
}

/// Kafka refuses the position, and the log grows past it before the monitor looks up its end.
#[tokio::test]
async fn a_refused_partition_is_read_again_when_its_log_has_grown() {
    let bank = bank(0).await;
    let ledger = bank.process("ledger").held_at("monitor.suspects").start();
    bank.booked_once_and_in_order(6).await;
    power_cut(&bank).await;
    ledger.paused().await;
    bank.produce("deposits", 0, &deposits("bob", 4)).await;
    ledger.go_on();
    ledger.says("has grown past position 6").await;
    assert_eq!(bank.bookings().await, 6);
    bank.rewind(RewindTo::Beginning).await.unwrap();
    bank.booked_once_and_in_order(10).await;
    bank.close().await;
}

/// After a rewind, and in a database of an older version, the record before the position is not known.
#[tokio::test]
async fn a_refused_position_without_a_last_record_does_not_silence_its_partition() {
    let bank = PrivateBank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 3)).await;
    let ledger = bank.process("ledger").held_at("monitor.suspects").start();
    bank.booked_once_and_in_order(3).await;
    bank.pool("ledger")
        .execute("UPDATE broker.positions SET next_offset = 5 WHERE partition = 0")
        .await
        .unwrap();
    ledger.paused().await;
    bank.produce("deposits", 0, &deposits("bob", 4)).await;
    ledger.go_on();
    bank.booked_at_least(5).await;
    bank.close().await;
}

/// A log that ends before the position may be one whose end becomes visible late, which is no loss.
#[tokio::test]
async fn a_restart_of_kafka_that_loses_nothing_raises_no_alarm() {
    let mut bank = PrivateBank::open().await;
    bank.produce("deposits", 0, &deposits("alice", 6)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(6).await;
    let kafka = bank.kafka();
    kafka.kill();
    kafka.start().await.unwrap();
    bank.produce("deposits", 0, &deposits("bob", 2)).await;
    bank.booked_once_and_in_order(8).await;
    says(&mut status, "there is no alarm", ConsumerStatus::is_consuming).await;
    bank.close().await;
}
