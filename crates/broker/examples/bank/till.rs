//! Takes deposits: one row an account, whose version numbers the events about it.

use broker::{Cause, Tx};
use envelope::Sequence;

use super::events::{Account, Deposits, Made};

pub(crate) const SCHEMA: &str = include_str!("till.sql");

/// Takes a deposit, as part of the caller's transaction.
pub(crate) async fn deposit(tx: &mut Tx, account: &str, amount: i64) -> anyhow::Result<()> {
    let made = Made { account: account.to_owned(), amount, memo: String::new() };
    append(tx, account, &Deposits::Made(made)).await
}

/// Closes an account, as part of the caller's transaction.
pub(crate) async fn close(tx: &mut Tx, account: &str) -> anyhow::Result<()> {
    append(tx, account, &Deposits::Closed(Account { account: account.to_owned() })).await
}

/// The account's row is locked until the commit: the order of its events is the order of the commits.
async fn append(tx: &mut Tx, account: &str, event: &Deposits) -> anyhow::Result<()> {
    let version: i64 = sqlx::query_scalar(
        "INSERT INTO tills AS till (account, version) VALUES ($1, 1)
         ON CONFLICT (account) DO UPDATE SET version = till.version + 1
         RETURNING version",
    )
    .bind(account)
    .fetch_one(&mut **tx)
    .await?;
    tx.append(Cause::default(), Sequence::from_i64(version).unwrap_or_default(), event)?;
    Ok(())
}
