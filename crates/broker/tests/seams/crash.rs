//! kill -9 at each seam: one effect each, order per key kept.

use crate::support::Bank;

const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dave"];

#[tokio::test]
async fn a_deposit_arrives() {
    let mut bank = Bank::open().await;
    bank.run_till();
    bank.run_ledger();
    bank.deposit(&ACCOUNTS, 10).await;
    bank.booked_once_and_in_order(40).await;
    bank.close().await;
}

#[tokio::test]
async fn processes_do_too() {
    let bank = Bank::open().await;
    let _till = bank.process("till").start();
    let mut ledger = bank.process("ledger").start();
    bank.deposit(&ACCOUNTS, 10).await;
    bank.booked_once_and_in_order(40).await;
    println!("{:?}", ledger.stop().await);
    println!("{}", ledger.output());
    bank.close().await;
}
