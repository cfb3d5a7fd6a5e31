//! Logs that are not the ones that were read: cut by a power cut, or made anew, and grown past the position since. Nothing
//! behind the gap is applied; the alarm's own command brings everything that is there.

use broker::{ConsumerStatus, RewindTo};
use sqlx::Executor as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;

use crate::support::{Bank, Raw, SPARE, says};

fn deposits(account: &str, count: usize) -> Vec<Raw> {
    (1..=count).map(|sequence| Raw::deposit(account, sequence, 1)).collect()
}

/// A bank of its own with six deposits of alice's, of which the last three are to be lost, and `others` of bob's that will
/// take their place.
async fn bank(others: usize) -> Bank {
    let bank = Bank::private().await;
    broker::topics::create(&bank.settings("till"), &[]).await.unwrap();
    bank.produce_one_by_one("deposits", 0, &deposits("alice", 6)).await;
    bank.produce_one_by_one(SPARE, 0, &deposits("bob", others)).await;
    bank
}

/// Kafka dies, loses the last three deposits, and has the others in their place before anyone reads.
async fn power_cut(bank: &Bank) {
    let kafka = bank.servers.kafka().unwrap();
    kafka.kill();
    bank.replace_end(0, 3);
    kafka.start().await.unwrap();
}

async fn alarm(status: &mut watch::Receiver<ConsumerStatus>) -> String {
    let stopped = says(status, "something stops", |status| !status.stopped.is_empty()).await;
    assert!(!stopped.is_consuming());
    assert_eq!(stopped.stopped.len(), 1, "{stopped:?}");
    stopped.stopped[0].clone()
}

/// Does what the alarm says; the owner has lost nothing that it could publish again.
async fn obey(bank: &Bank, alarm: &str) {
    let (command, again) = alarm.rsplit("Run: ").next().unwrap().split_once(", then: ").unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let ["ledger", "rewind", "deposits", "--partition", partition, "--to", to] = words[..] else {
        panic!("{command}")
    };
    assert_eq!(again, format!("till republish deposits --since {to}"));
    let to = RewindTo::Time(OffsetDateTime::parse(to, &Rfc3339).unwrap());
    let (settings, pool) = (bank.settings("ledger"), bank.pool("ledger"));
    let partition = Some(partition.parse().unwrap());
    broker::rewind_partition(&settings, &pool, "deposits", partition, to).await.unwrap();
}

/// The partition is stopped, and its repair books what was appended instead, and nothing twice.
async fn is_noticed_and_repaired(bank: &Bank, status: &mut watch::Receiver<ConsumerStatus>) {
    let told = alarm(status).await;
    assert!(told.contains("deposits/0 stops: the log was cut or made anew"), "{told}");
    assert!(told.contains("has grown past our position 6"), "{told}");
    assert_eq!(bank.bookings().await, 6, "nothing behind the gap was applied");
    assert_eq!(bank.position(0).await, 6, "never a silent jump");
    bank.produce("deposits", 1, &deposits("carol", 2)).await;
    bank.booked_once_and_in_order(8).await;
    obey(bank, &told).await;
    bank.booked_once_and_in_order(12).await;
    says(status, "all is clear", ConsumerStatus::is_consuming).await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_and_grew_while_a_consumer_was_running_is_noticed() {
    let mut bank = bank(4).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(6).await;
    power_cut(&bank).await;
    is_noticed_and_repaired(&bank, &mut status).await;
    bank.close().await;
}

#[tokio::test]
async fn a_log_that_lost_its_end_and_grew_while_no_consumer_was_running_is_noticed() {
    let mut bank = bank(4).await;
    let mut ledger = bank.process("ledger").start();
    bank.booked_once_and_in_order(6).await;
    ledger.stop().await;
    power_cut(&bank).await;
    let mut status = bank.run_ledger();
    is_noticed_and_repaired(&bank, &mut status).await;
    bank.close().await;
}

/// Kafka refuses the position, and before the monitor has asked where the log ends it has grown past it.
#[tokio::test]
async fn a_partition_that_was_refused_is_read_again_when_its_log_has_grown() {
    let bank = bank(0).await;
    let ledger = bank.process("ledger").held_at("monitor.suspects").start();
    bank.booked_once_and_in_order(6).await;
    power_cut(&bank).await;
    ledger.paused().await;
    bank.produce("deposits", 0, &deposits("bob", 4)).await;
    ledger.go_on();
    ledger.says("has grown past our position 6").await;
    assert_eq!(bank.bookings().await, 6);
    bank.rewind(RewindTo::Beginning).await.unwrap();
    bank.booked_once_and_in_order(10).await;
    bank.close().await;
}

/// After a rewind, and in a database of an older version, nothing is known of the record before the position.
#[tokio::test]
async fn a_refused_position_of_which_nothing_is_known_does_not_silence_its_partition() {
    let bank = Bank::private().await;
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

/// A log that is shorter than its reader may be one whose end only becomes visible late: that is no loss.
#[tokio::test]
async fn a_restart_of_kafka_that_loses_nothing_is_no_alarm() {
    let mut bank = Bank::private().await;
    bank.produce("deposits", 0, &deposits("alice", 6)).await;
    let mut status = bank.run_ledger();
    bank.booked_once_and_in_order(6).await;
    let kafka = bank.servers.kafka().unwrap();
    kafka.kill();
    kafka.start().await.unwrap();
    bank.produce("deposits", 0, &deposits("bob", 2)).await;
    bank.booked_once_and_in_order(8).await;
    says(&mut status, "all is clear", ConsumerStatus::is_consuming).await;
    bank.close().await;
}
