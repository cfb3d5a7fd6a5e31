//! kill -9 at each seam: each event has one effect, in the order of its key.

use crate::support::Bank;

const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dave"];
const ROUNDS: usize = 5;
const DEPOSITS: usize = ACCOUNTS.len() * ROUNDS;

/// Kills the service at this point, starts it again, and checks the books.
async fn killed_at(service: &str, point: &str) -> Bank {
    let mut bank = Bank::open().await;
    match service {
        "till" => drop(bank.run_ledger()),
        _ => bank.run_till(),
    }
    // An instance name, so that the group does not wait for the dead member.
    let instance = format!("{service}-1");
    let mut killed = bank.process(service).with("INSTANCE", &instance).held_at(point).start();
    bank.deposit(&ACCOUNTS, ROUNDS).await;
    killed.paused().await;
    killed.kill();
    let _again = bank.process(service).with("INSTANCE", &instance).start();
    bank.booked_once_and_in_order(DEPOSITS).await;
    bank
}

#[tokio::test]
async fn after_the_commit_before_the_publication() {
    let bank = killed_at("till", "relay.fetched").await;
    assert_eq!(bank.records("deposits").await.len(), DEPOSITS, "nothing was published twice");
    bank.close().await;
}

#[tokio::test]
async fn after_the_publication_before_the_delete() {
    let bank = killed_at("till", "relay.acknowledged").await;
    assert!(bank.records("deposits").await.len() > DEPOSITS, "repetitions arrived without effect");
    bank.close().await;
}

#[tokio::test]
async fn in_the_middle_of_a_batch() {
    killed_at("ledger", "consumer.applied").await.close().await;
}

#[tokio::test]
async fn after_the_database_commit_before_the_offset() {
    killed_at("ledger", "consumer.committed").await.close().await;
}
