//! Outages of Kafka or Postgres: nothing is lost, nothing becomes a dead letter, memory stays bounded, and everything is done
//! afterwards.

use std::time::Duration;

use crate::private::PrivateBank;
use crate::support::{Raw, says, until};

/// The duration of an outage: 3 seconds, or `OUTAGE_SECONDS` (scripts/broker-proofs: a minute).
fn outage() -> Duration {
    Duration::from_secs(std::env::var("OUTAGE_SECONDS").map_or(3, |seconds| seconds.parse().unwrap()))
}

#[tokio::test]
async fn without_postgres_a_consumer_keeps_its_position_and_its_records() {
    let bank = PrivateBank::open().await;
    let ledger = bank.process("ledger").start();
    let deposits: Vec<Raw> = (1..=50).map(|sequence| Raw::deposit("alice", sequence, 1)).collect();
    bank.produce("deposits", 0, &deposits[..2]).await;
    bank.booked_once_and_in_order(2).await;
    let (_, members) = bank.group("ledger").await;

    bank.postgres().kill();
    // By then the consumer has waited for its positions in vain: it must read records all the same.
    ledger.says("the outbox cannot be read").await;
    bank.produce("deposits", 0, &deposits[2..]).await;
    ledger.says("a batch cannot be applied").await;
    tokio::time::sleep(outage()).await;
    bank.postgres().start().await.unwrap();

    bank.booked_once_and_in_order(50).await;
    assert!(bank.letters().await.is_empty());
    assert_eq!(bank.group("ledger").await, ("Stable".to_owned(), members), "no member had to join again");
    bank.close().await;
}

/// This includes the order of a key whose first publications time out: later events wait.
#[tokio::test]
async fn without_kafka_events_are_taken_in_bounded_memory_and_published_in_order_later() {
    let mut bank = PrivateBank::open().await;
    let mut status = bank.run_ledger();
    let till = bank.process("till").start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;

    let before = till.resident_mib();
    bank.kafka().freeze();
    bank.deposit(&["alice"], 7).await;
    let accounts: Vec<String> = (0..20).map(|number| format!("heavy-{number}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    for _ in 0..20 {
        bank.deposit_with_memo(&accounts, &"x".repeat(400_000)).await;
    }
    till.says("Kafka cannot be reached").await;
    says(&mut status, "Kafka is reported as away", |status| !status.reached).await;
    bank.deposit(&["alice"], 1).await;
    let grown = till.resident_mib() - before;
    println!("{grown} MiB more in memory, of 160 MB that wait in the outbox");
    assert!(grown < 100, "160 MB wait in the outbox, {grown} MiB of it in memory");

    bank.kafka().thaw();
    bank.booked_once_and_in_order(1 + 7 + 400 + 1).await;
    says(&mut status, "Kafka is back", |status| status.reached).await;
    let most = till.most_resident_mib() - before;
    assert!(most < 100, "{most} MiB of it in memory while it caught up");
    bank.close().await;
}

/// How often Kafka is frozen for longer than the session timeout: once, or `FREEZES` times (scripts/broker-proofs:
/// five).
fn freezes() -> usize {
    std::env::var("FREEZES").map_or(1, |times| times.parse().unwrap())
}

/// Meanwhile the member asks to join repeatedly, and its own repetitions fence it when Kafka answers all of them.
#[tokio::test]
async fn a_static_member_outlives_a_frozen_kafka() {
    let mut bank = PrivateBank::open().await;
    bank.run_till();
    let mut ledger = bank.process("ledger").with("INSTANCE", "ledger-1").start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    for freeze in 1..=freezes() {
        bank.kafka().freeze();
        tokio::time::sleep(Duration::from_secs(15)).await;
        bank.kafka().thaw();
        bank.deposit(&["alice"], 1).await;
        bank.booked_once_and_in_order(1 + freeze).await;
        assert!(!ledger.has_ended(), "{}", ledger.output());
    }
    bank.close().await;
}

#[tokio::test]
async fn a_service_that_starts_before_kafka_waits_for_it() {
    let bank = PrivateBank::open().await;
    bank.kafka().kill();
    let (_till, ledger) =
        (bank.process("till").without_topics().start(), bank.process("ledger").without_topics().start());
    bank.deposit(&["alice"], 3).await;
    ledger.says("waiting for it").await;
    until("it is in the outbox", async || bank.outbox_rows("till").await == 3).await;
    bank.kafka().start().await.unwrap();
    bank.booked_once_and_in_order(3).await;
    bank.close().await;
}
