//! Publishing the state of a compacted topic again.

use std::sync::Arc;

use broker::Compacted;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::support::{Bank, Plan, Raw, until};
use crate::till;

/// Returns a bank with two accounts and a closed one, whose state is a tombstone.
async fn with_accounts() -> Bank {
    let mut bank = Bank::planned(Plan { partitions: 1, ..Plan::default() }).await;
    bank.run_till();
    bank.run_ledger();
    bank.deposit(&["alice", "bob", "carol"], 1).await;
    let mut tx = bank.till.begin().await.unwrap();
    till::close(&mut tx, "carol").await.unwrap();
    tx.commit().await.unwrap();
    until("carol's account is closed", async || {
        bank.balances("carol").await.last().is_some_and(|raw| raw.value.is_none())
    })
    .await;
    bank.booked_once_and_in_order(3).await;
    bank
}

/// Checks that all states are published again, each with a higher sequence than before.
async fn all_again(bank: &Bank, before: &[Raw]) {
    until("all are published again", async || bank.records("balances").await.len() == before.len() + 3).await;
    let records = bank.records("balances").await;
    for again in &records[before.len()..] {
        let last = before.iter().rfind(|raw| raw.key == again.key).unwrap();
        assert_eq!(again.value, last.value);
        assert_eq!(again.header("ce_type"), last.header("ce_type"));
        assert!(again.header("ce_sequence") > last.header("ce_sequence"));
    }
    let tombstone = records.iter().rfind(|raw| raw.key.as_deref() == Some(b"carol")).unwrap();
    assert_eq!((&tombstone.value, tombstone.header("ce_type")), (&None, Some("account.erased.v1")));
}

#[tokio::test]
async fn on_command_all_states_are_published_again_with_tombstones() {
    let bank = with_accounts().await;
    let before = bank.records("balances").await;
    let mut progress = Vec::new();
    broker_ops::republish_all(&bank.ledger, &Ledger, |key| progress.push(key.to_owned())).await.unwrap();
    assert_eq!(progress, ["carol"], "the last key of each step");
    all_again(&bank, &before).await;
    bank.close().await;
}

#[tokio::test]
async fn once_a_day_all_states_are_published_again() {
    let bank = with_accounts().await;
    let before = bank.records("balances").await;
    let stop = CancellationToken::new();
    let owners = || -> Vec<Arc<dyn Compacted>> { vec![Arc::new(Ledger)] };
    let daily: Vec<_> = (0..2)
        .map(|_| tokio::spawn(broker_ops::republish_daily(bank.ledger.clone(), owners(), stop.clone())))
        .collect();
    let due = async |condition: &str| {
        let sql = format!("SELECT count(*) FROM broker.republishes WHERE {condition}");
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&bank.pool("ledger")).await.unwrap();
        rows == 1
    };
    until("the first round is a day away", async || due("due_at > now() + interval '23 hours'").await).await;
    assert_eq!(bank.records("balances").await.len(), before.len());
    bank.pool("ledger").execute("UPDATE broker.republishes SET due_at = now()").await.unwrap();
    all_again(&bank, &before).await;
    until("the next round is a day away", async || {
        due("after_key IS NULL AND due_at > now() + interval '23 hours'").await
    })
    .await;
    stop.cancel();
    for task in daily {
        task.await.unwrap();
    }
    bank.close().await;
}
