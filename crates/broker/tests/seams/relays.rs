//! Two relays on one outbox: one leads, and late sends of the other do no harm.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use crate::support::{Bank, until};

/// The lease only saves work. This test deletes it all the time, so that both relays lead at once.
#[tokio::test]
async fn two_relays_that_lead_at_once_keep_the_order_of_each_key() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    bank.run_till();
    bank.run_till();
    let accounts = ["alice", "bob", "carol", "dave"];
    let till = bank.pool("till");
    let delete_leases = async {
        loop {
            till.execute("DELETE FROM broker.leases").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = delete_leases => {}
        () = async {
            let mut deposits = 0;
            // Until both relays have sent the same event.
            while bank.records("deposits").await.len() <= deposits {
                bank.deposit(&accounts, 250).await;
                deposits += 1000;
                bank.booked_once_and_in_order(deposits).await;
            }
        } => {}
    }
    bank.close().await;
}

#[tokio::test]
async fn when_the_leading_relay_is_killed_the_other_continues_within_seconds() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let mut leader = bank.process("till").start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    let _other = bank.process("till").start();
    leader.kill();
    let killed = Instant::now();
    bank.deposit(&["alice", "bob"], 20).await;
    bank.booked_once_and_in_order(41).await;
    assert!(killed.elapsed() < Duration::from_secs(7), "it took {:?}", killed.elapsed());
    bank.close().await;
}

/// The lease is prolonged, so that waiting for its end would take long.
#[tokio::test]
async fn a_leader_with_an_instance_name_takes_its_lease_back_at_once_after_a_kill() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let named = || bank.process("till").with("INSTANCE", "till-1").start();
    let mut leader = named();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    leader.kill();
    let till = bank.pool("till");
    // Less than the bound above which a lease counts as free.
    till.execute("UPDATE broker.leases SET expires_at = clock_timestamp() + interval '7 seconds'")
        .await
        .unwrap();
    let started = Instant::now();
    let _again = named();
    bank.deposit(&["alice"], 20).await;
    bank.booked_once_and_in_order(21).await;
    assert!(started.elapsed() < Duration::from_secs(7), "it took {:?}", started.elapsed());
    bank.close().await;
}

/// As after the database's clock was an hour ahead when the lease was taken.
#[tokio::test]
async fn a_lease_that_ends_in_an_hour_is_free() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let mut leader = bank.process("till").start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    leader.kill();
    let till = bank.pool("till");
    till.execute("UPDATE broker.leases SET expires_at = expires_at + interval '1 hour'").await.unwrap();
    let _other = bank.process("till").start();
    bank.deposit(&["alice"], 20).await;
    bank.booked_once_and_in_order(21).await;
    bank.close().await;
}

#[tokio::test]
async fn a_zombie_leader_loses_its_lease_to_the_new_instance_of_its_name() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let named = || {
        bank.process("till").with("INSTANCE", "till-1").with("RUST_LOG", "broker=debug").with("NO_COLOR", "1")
    };
    let leader = named().start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    leader.freeze();
    let _next = named().start();
    bank.deposit(&["alice"], 20).await;
    bank.booked_once_and_in_order(21).await;
    leader.thaw();
    leader.says("relay lease leading=false").await;
    bank.close().await;
}

#[tokio::test]
async fn the_late_send_of_a_zombie_leader_is_a_repetition() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let frozen = bank.process("till").held_at("relay.sending").start();
    bank.deposit(&["alice"], 2).await;
    frozen.paused().await;
    frozen.freeze();
    // Its lease ends, and this relay takes over.
    bank.run_till();
    bank.booked_once_and_in_order(2).await;
    frozen.go_on();
    frozen.thaw();
    until("the late repetition is on the topic", async || bank.records("deposits").await.len() == 3).await;
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(3).await;
    bank.close().await;
}

#[tokio::test]
async fn after_a_late_send_the_last_record_on_a_compacted_topic_is_the_current_state_again() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let frozen = bank.process("ledger").held_at("relay.sending").start();
    bank.deposit(&["alice"], 1).await;
    frozen.paused().await;
    frozen.freeze();
    bank.run_ledger();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(2).await;
    let balance = |raw: &crate::support::Raw| String::from_utf8(raw.value.clone().unwrap()).unwrap();
    assert!(balance(bank.balances("alice").await.last().unwrap()).contains(r#""balance":2"#));
    frozen.go_on();
    frozen.thaw();
    frozen.says("an event was published twice").await;
    until("the state is published again", async || bank.balances("alice").await.len() == 4).await;
    let states = bank.balances("alice").await;
    let sequences: Vec<_> = states.iter().map(|raw| raw.header("ce_sequence").unwrap()).collect();
    assert_eq!(sequences[2], sequences[0], "an old state arrived late");
    assert!(sequences[3] > sequences[1], "and a newer one after it");
    assert!(balance(&states[3]).contains(r#""balance":2"#));
    bank.close().await;
}

/// More keys than the relay holds rows: they must not use up the capacity for rows that Kafka accepts.
#[tokio::test]
async fn a_topic_that_kafka_refuses_delays_no_other_and_is_logged_once() {
    const REFUSED: usize = 4500;
    let bank = Bank::open().await;
    bank.configure("balances", &[("max.message.bytes", "100")]).await;
    let too_large = "INSERT INTO broker.outbox (topic, key, value, headers)
                     SELECT 'balances', ('refused-' || number)::bytea, repeat('x', 500)::bytea, '[]'
                     FROM generate_series(1, $1) AS number";
    let refused = i64::try_from(REFUSED).unwrap();
    sqlx::query(too_large).bind(refused).execute(&bank.pool("till")).await.unwrap();
    let mut till = bank.process("till").with("RUST_LOG", "broker=info").with("NO_COLOR", "1").start();
    till.says("Kafka refuses events of this topic").await;
    for deposits in 1..=3 {
        bank.deposit(&["alice"], 1).await;
        until("the deposit is published", async || bank.records("deposits").await.len() == deposits).await;
    }
    assert_eq!(bank.outbox_rows("till").await, REFUSED, "refused events wait");

    bank.configure("balances", &[("max.message.bytes", "1048576")]).await;
    until("all is published", async || bank.outbox_rows("till").await == 0).await;
    till.says("Kafka takes events of this topic again").await;
    assert_eq!(bank.records("balances").await.len(), REFUSED);
    let log = till.output();
    for once in ["Kafka refuses events of this topic", "Kafka takes events of this topic again"] {
        assert_eq!(log.matches(once).count(), 1, "{log}");
    }
    assert!(!log.contains("creating a new one"), "Kafka answered all the time: {log}");
    till.stop().await;
    bank.close().await;
}
