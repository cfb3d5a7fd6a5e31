//! An account whose state is published and erased.

use broker::Cause;
use envelope::Sequence;

use super::Bank;
use crate::events::{Account, Balance, Balances};

pub(crate) const ACCOUNT: &str = "zoe";

/// Appends a state of the account that will be erased.
pub(crate) async fn append_state(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    let state = Balances::Changed(Balance { account: ACCOUNT.to_owned(), balance: 1 });
    tx.append(Cause::default(), Sequence::NONE.next(), &state).unwrap();
    tx.commit().await.unwrap();
}

/// Erases the account: withdraws its waiting events in the transaction that appends its tombstone.
pub(crate) async fn erase(bank: &Bank) {
    let mut tx = bank.ledger.begin().await.unwrap();
    tx.withdraw::<Balances>(ACCOUNT).await.unwrap();
    let erased = Balances::Erased(Account { account: ACCOUNT.to_owned() });
    tx.append(Cause::default(), Sequence::NONE.next().next(), &erased).unwrap();
    tx.commit().await.unwrap();
}
