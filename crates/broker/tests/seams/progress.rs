//! A partition that has records to read and makes no progress is unhealthy, whatever the cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker::{Consumer, ConsumerStatus, Failure, Handler, Incoming, Received, Rejected, Subscription, Tx};
use envelope::Sequence;
use tokio_util::sync::CancellationToken;

use crate::events::Deposits;
use crate::ledger::{Accounts, Ledger};
use crate::support::{Bank, Raw, says};

/// The ledger, whose handler does not return while the flag is set.
struct Hanging(Arc<AtomicBool>);

impl Handler for Hanging {
    type Event = Deposits;
    type State = Accounts;

    async fn load(&self, tx: &mut Tx, batch: &[Received<Deposits>]) -> Result<Accounts, Failure> {
        while self.0.load(Ordering::SeqCst) {
            // Keeps Postgres from ending the idle transaction.
            sqlx::query("SELECT").execute(&mut **tx).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ledger.load(tx, batch).await
    }

    fn last_sequence<'s>(&self, accounts: &'s mut Accounts, event: &Deposits) -> Option<&'s mut Sequence> {
        Ledger.last_sequence(accounts, event)
    }

    fn handle(&self, accounts: &mut Accounts, incoming: Incoming<'_, Deposits>) -> Result<(), Rejected> {
        Ledger.handle(accounts, incoming)
    }

    async fn save(&self, tx: &mut Tx, accounts: Accounts) -> Result<(), Failure> {
        Ledger.save(tx, accounts).await
    }
}

#[tokio::test]
async fn a_handler_that_hangs_is_reported_and_a_transactions_marker_is_not() {
    let mut bank = Bank::open().await;
    bank.relay("ledger");
    let poison = Raw { key: Some(b"somebody".to_vec()), value: Some(b"{}".to_vec()), headers: Vec::new() };
    bank.produce_in_a_transaction("deposits", 1, &[poison]).await;
    bank.produce("deposits", 0, &[Raw::deposit("alice", 1, 1)]).await;
    let hangs = Arc::new(AtomicBool::new(true));
    let subscriptions = vec![Subscription::new(Hanging(Arc::clone(&hangs)))];
    let consumer = Consumer::new(bank.settings("ledger"), bank.ledger.clone(), subscriptions);
    let (mut status, stop) = (consumer.status(), CancellationToken::new());
    let _running = stop.clone().drop_guard();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let still = |status: &ConsumerStatus| {
        status.stopped.iter().any(|text| text.contains("deposits/0 makes no progress"))
    };
    let reported = says(&mut status, "it makes no progress", still).await;
    assert!(!reported.is_consuming());
    assert_eq!(bank.bookings().await, 0);

    hangs.store(false, Ordering::SeqCst);
    bank.booked_once_and_in_order(1).await;
    let after_the_marker = says(&mut status, "there is no alarm", ConsumerStatus::is_consuming).await;
    assert!(after_the_marker.stopped.is_empty());
    stop.cancel();
    running.await.unwrap().unwrap();
    bank.close().await;
}
