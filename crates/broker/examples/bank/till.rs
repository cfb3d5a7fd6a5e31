//! Takes deposits: one row per account, whose version is the sequence of its last event.

use broker::{Cause, Tx};
use envelope::Sequence;

use super::events::{Account, Deposits, Made};

pub(crate) const SCHEMA: &str = include_str!("till.sql");

/// Takes a deposit in the caller's transaction.
pub(crate) async fn deposit(tx: &mut Tx, account: &str, amount: i64, memo: &str) -> anyhow::Result<()> {
    let made = Made { account: account.to_owned(), amount, memo: memo.to_owned() };
    append(tx, account, &[Deposits::Made(made)]).await
}

/// Closes an account in the caller's transaction.
pub(crate) async fn close(tx: &mut Tx, account: &str) -> anyhow::Result<()> {
    append(tx, account, &[Deposits::Closed(Account { account: account.to_owned() })]).await
}

/// Appends events of an account. Its row is locked until the commit, so that the events are in the order of the commits.
pub(crate) async fn append(tx: &mut Tx, account: &str, events: &[Deposits]) -> anyhow::Result<()> {
    let before: i64 = sqlx::query_scalar(
        "INSERT INTO tills AS till (account, version) VALUES ($1, $2)
         ON CONFLICT (account) DO UPDATE SET version = till.version + $2
         RETURNING version - $2",
    )
    .bind(account)
    .bind(i64::try_from(events.len())?)
    .fetch_one(&mut **tx)
    .await?;
    let mut version = Sequence::from_i64(before).unwrap_or_default();
    for event in events {
        version = version.next();
        tx.append(Cause::default(), version, event)?;
    }
    Ok(())
}
