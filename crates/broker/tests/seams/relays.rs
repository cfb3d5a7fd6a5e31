//! Two relays on one outbox: one leads, and what the other sends too late does no harm.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use crate::support::{Bank, until};

/// The lease only saves work. Here it is taken away from whoever has it, all the time, so that both believe to lead.
#[tokio::test]
async fn two_relays_that_lead_at_once_keep_the_order_of_each_key() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    bank.run_till();
    bank.run_till();
    let accounts = ["alice", "bob", "carol", "dave"];
    let till = bank.pool("till");
    let robber = async {
        loop {
            till.execute("DELETE FROM broker.leases").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = robber => {}
        () = async {
            let mut deposits = 0;
            // Until both were seen to send the same.
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
async fn when_the_leading_relay_is_killed_the_other_goes_on_within_seconds() {
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

/// The lease is made to last, so that waiting for its end would take long.
#[tokio::test]
async fn a_leader_with_a_name_has_its_lease_at_once_when_it_is_killed_and_started_again() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let named = || bank.process("till").with("INSTANCE", "till-1").start();
    let mut leader = named();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;
    leader.kill();
    let till = bank.pool("till");
    // Less than the bound beyond which a lease counts as free.
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

/// As it is when the database's clock was an hour ahead while the lease was taken.
#[tokio::test]
async fn a_lease_that_ends_in_an_hour_is_no_lease() {
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
async fn a_leader_that_was_taken_for_dead_has_lost_its_lease_to_the_one_of_its_name() {
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
async fn what_a_frozen_leader_sends_when_it_wakes_is_taken_for_what_it_is() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    let frozen = bank.process("till").held_at("relay.sending").start();
    bank.deposit(&["alice"], 2).await;
    frozen.paused().await;
    frozen.freeze();
    // Its lease ends, and this one takes over.
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
async fn on_a_compacted_topic_the_last_record_is_the_current_state_again() {
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
    assert_eq!(sequences[2], sequences[0], "an old state came late");
    assert!(sequences[3] > sequences[1], "and a new one after it");
    assert!(balance(&states[3]).contains(r#""balance":2"#));
    bank.close().await;
}

/// More keys than the relay holds rows: they must not take the place of what Kafka would accept.
#[tokio::test]
async fn a_topic_that_kafka_refuses_holds_up_no_other_and_is_logged_once() {
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
    assert!(!log.contains("building a new one"), "Kafka answered all the while: {log}");
    till.stop().await;
    bank.close().await;
}
