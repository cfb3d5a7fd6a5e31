//! Several members of a group: each deposit is booked once and in order, whichever member loses a partition, freezes or is
//! killed.

use std::time::{Duration, Instant};

use crate::support::{Bank, Process, until};

const ACCOUNTS: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
/// The largest number of deposits that are not booked yet.
const AHEAD: usize = 3000;

#[tokio::test]
async fn a_rebalance_in_the_middle_of_a_batch() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let first = bank.process("ledger").held_at("consumer.received").start();
    bank.deposit(&ACCOUNTS, 5).await;
    first.paused().await;
    let _second = bank.process("ledger").start();
    until("the group rebalances", async || bank.group("ledger").await.0 == "PreparingRebalance").await;
    first.go_on();
    bank.deposit(&ACCOUNTS, 5).await;
    bank.booked_once_and_in_order(60).await;
    until("two members share the partitions", async || {
        let (state, members) = bank.group("ledger").await;
        state == "Stable" && members.len() == 2
    })
    .await;
    bank.deposit(&ACCOUNTS, 5).await;
    bank.booked_once_and_in_order(90).await;
    bank.nothing_is_unread().await;
    bank.close().await;
}

/// Freezes a member at this point until another has its partitions and has booked its deposits.
async fn frozen_at(point: &str) {
    let mut bank = Bank::open().await;
    bank.run_till();
    let frozen = bank.process("ledger").held_at(point).start();
    bank.deposit(&ACCOUNTS, 5).await;
    frozen.paused().await;
    frozen.freeze();
    let mut other = bank.process("ledger").start();
    bank.booked_once_and_in_order(30).await;
    frozen.go_on();
    frozen.thaw();
    // After it wakes, it notices that its batch is stale.
    frozen.says("another transaction moved the position").await;
    bank.deposit(&ACCOUNTS, 5).await;
    bank.booked_once_and_in_order(60).await;
    // And it can consume again.
    other.stop().await;
    bank.deposit(&ACCOUNTS, 5).await;
    bank.booked_once_and_in_order(90).await;
    bank.nothing_is_unread().await;
    bank.close().await;
}

#[tokio::test]
async fn a_member_frozen_before_its_transaction_wakes_with_a_stale_batch() {
    frozen_at("consumer.received").await;
}

#[tokio::test]
async fn a_member_frozen_within_its_transaction_keeps_no_lock_and_wakes_without_harm() {
    frozen_at("consumer.applied").await;
}

#[tokio::test]
async fn a_static_member_continues_within_two_seconds_after_kill_9() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let mut ledger = bank.process("ledger").with("INSTANCE", "ledger-1").start();
    bank.deposit(&ACCOUNTS, 1).await;
    bank.booked_once_and_in_order(6).await;
    ledger.kill();
    bank.deposit(&ACCOUNTS, 1).await;
    let started = Instant::now();
    let _again = bank.process("ledger").with("INSTANCE", "ledger-1").start();
    until("it continues to book", async || bank.bookings().await == 12).await;
    assert!(started.elapsed() < Duration::from_secs(2), "it took {:?}", started.elapsed());
    bank.close().await;
}

#[tokio::test]
async fn of_two_members_with_one_instance_name_one_gives_up_and_the_other_continues() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let mut instances = [(); 2].map(|()| bank.process("ledger").with("INSTANCE", "ledger-1").start());
    until("one has ended", || std::future::ready(instances.iter_mut().any(Process::has_ended))).await;
    bank.deposit(&ACCOUNTS, 3).await;
    bank.booked_once_and_in_order(18).await;
    let gave_up =
        instances.iter_mut().find_map(|instance| instance.has_ended().then(|| instance.output())).unwrap();
    assert!(gave_up.contains("same group.instance.id"), "{gave_up}");
    assert!(!instances.iter_mut().all(Process::has_ended), "one continues");
    bank.close().await;
}

#[tokio::test]
async fn instances_come_and_go_under_load() {
    let mut bank = Bank::open().await;
    bank.run_till();
    let mut members = vec![bank.process("ledger").start()];
    let (mut deposits, mut round) = (0, 0);
    let ends = Instant::now() + Duration::from_secs(10);
    while Instant::now() < ends {
        let changes = Instant::now() + Duration::from_secs(2);
        members.push(bank.process("ledger").start());
        while Instant::now() < changes {
            // Bounded while a partition waits for its member: otherwise the rest would be a test of speed.
            if deposits < bank.bookings().await + AHEAD {
                bank.deposit(&ACCOUNTS, 1).await;
                deposits += ACCOUNTS.len();
            } else {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        // The oldest member is killed, or asked to stop.
        let mut oldest = members.remove(0);
        if round % 2 == 0 {
            oldest.kill();
        } else {
            oldest.stop().await;
        }
        round += 1;
    }
    bank.booked_once_and_in_order(deposits).await;
    bank.nothing_is_unread().await;
    bank.close().await;
}
