//! What grows and what does not.

use sqlx::Executor as _;

use crate::support::{Bank, Plan, until};

/// Rows that go through: some, or as `GROWTH_ROWS` says (scripts/broker-proofs: a million).
fn rows() -> usize {
    std::env::var("GROWTH_ROWS").map_or(20_000, |rows| rows.parse().unwrap())
}

#[tokio::test]
async fn the_tables_of_the_broker_stay_flat() {
    let mut bank = Bank::open().await;
    bank.run_till();
    bank.run_ledger();
    let accounts: Vec<String> = (0..200).map(|number| format!("account-{number}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let rounds = rows() / 4;
    let before = bank.kibibytes("till").await.max(bank.kibibytes("ledger").await);
    let mut sizes = Vec::new();
    for round in 1..=4 {
        bank.deposit_in_bulk(&accounts, rounds / accounts.len()).await;
        // A hundredth at a time: how long all of it takes is the machine's.
        for part in 1..=100 {
            bank.booked_at_least(rounds * (round - 1) + rounds * part / 100).await;
        }
        until("and published", async || bank.outbox_rows("ledger").await == 0).await;
        // What autovacuum does within a minute; the table's settings in the migration make it come.
        for service in ["till", "ledger"] {
            bank.pool(service).execute("VACUUM broker.outbox").await.unwrap();
            bank.pool(service).execute("VACUUM broker.positions").await.unwrap();
        }
        sizes.push((bank.kibibytes("till").await, bank.kibibytes("ledger").await));
    }
    println!("KiB of the broker's tables, till and ledger, after each quarter of {} rows: {sizes:?}", rows());
    // How large they are is how much waited at once, which is the machine's; that it is no more than before is ours.
    let most = |of: fn(&(i64, i64)) -> i64| sizes[..3].iter().map(of).max().unwrap() * 3 / 2;
    assert!(sizes[3].0 <= most(|size| size.0) && sizes[3].1 <= most(|size| size.1), "they grow: {sizes:?}");
    for service in ["till", "ledger"] {
        for table in ["outbox", "leases", "positions", "dead_letters", "republishes"] {
            let vacuum = format!("VACUUM FULL broker.{table}");
            bank.pool(service).execute(sqlx::AssertSqlSafe(vacuum)).await.unwrap();
        }
        let left = bank.kibibytes(service).await;
        assert!(left <= before + 64, "{left} KiB are left in {service}, {before} were there before");
    }
    bank.booked_once_and_in_order(rows()).await;
    bank.close().await;
}

#[tokio::test]
async fn a_full_outbox_says_so_at_the_door() {
    let mut bank = Bank::planned(Plan { outbox_limit: 5, ..Plan::default() }).await;
    // Nobody publishes, but the relay counts.
    bank.relay_without_kafka("till");
    bank.deposit(&["alice"], 6).await;
    assert!(!bank.till.is_full(), "until somebody has counted");
    until("the outbox is full", async || bank.till.is_full()).await;
    bank.pool("till").execute("DELETE FROM broker.outbox").await.unwrap();
    until("it is not any more", async || !bank.till.is_full()).await;
    bank.close().await;
}
