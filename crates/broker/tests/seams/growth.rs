//! The sizes of the broker's tables, and the limit of the outbox.

use sqlx::Executor as _;

use crate::support::{Bank, Plan, until};

/// The number of rows: 20,000, or `GROWTH_ROWS` (scripts/broker-proofs: a million).
fn rows() -> usize {
    std::env::var("GROWTH_ROWS").map_or(20_000, |rows| rows.parse().unwrap())
}

/// Vacuums the tables that rows come into and leave, and returns the sizes of the till's and the ledger's tables, in KiB.
async fn vacuumed(bank: &Bank) -> (i64, i64) {
    for service in ["till", "ledger"] {
        bank.pool(service).execute("VACUUM broker.outbox").await.unwrap();
        bank.pool(service).execute("VACUUM broker.positions").await.unwrap();
    }
    (bank.kibibytes("till").await, bank.kibibytes("ledger").await)
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
        // In steps of a hundredth, because the total time depends on the machine.
        for part in 1..=100 {
            bank.booked_at_least(rounds * (round - 1) + rounds * part / 100).await;
        }
        until("and published", async || bank.outbox_rows("ledger").await == 0).await;
        // Autovacuum does this within a minute, by the table's settings in the migration. VACUUM keeps the empty pages at the end
        // of a table while another session waits for it (the relay, several times per second), so it is repeated.
        let most =
            |of: fn(&(i64, i64)) -> i64| sizes.iter().map(of).max().map_or(i64::MAX, |most| most * 3 / 2);
        let most = (most(|size| size.0), most(|size| size.1));
        until("the tables are as small as after the quarters before", async || {
            let (till, ledger) = vacuumed(&bank).await;
            till <= most.0 && ledger <= most.1
        })
        .await;
        sizes.push(vacuumed(&bank).await);
    }
    println!(
        "KiB of the broker's tables in the test's two databases (till, ledger), after each quarter of {} rows: {sizes:?}",
        rows()
    );
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
async fn a_full_outbox_is_reported_to_the_service() {
    let mut bank = Bank::planned(Plan { outbox_limit: 5, ..Plan::default() }).await;
    // The relay cannot publish, but it counts.
    bank.relay_without_kafka("till");
    bank.deposit(&["alice"], 6).await;
    assert!(!bank.till.is_full(), "not before the relay has counted");
    until("the outbox is full", async || bank.till.is_full()).await;
    bank.pool("till").execute("DELETE FROM broker.outbox").await.unwrap();
    until("the outbox is not full any more", async || !bank.till.is_full()).await;
    bank.close().await;
}
