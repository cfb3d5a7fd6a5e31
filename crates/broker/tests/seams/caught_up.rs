//! Whether a topic has been read to its end.

use std::sync::Arc;

use broker_ops::CaughtUp;
use envelope::Event as _;
use tokio_util::sync::CancellationToken;

use crate::events::Deposits;
use crate::support::{Bank, Raw, until};

#[tokio::test]
async fn a_log_that_ends_with_the_marker_of_a_transaction_is_read_to_its_end() {
    let mut bank = Bank::open().await;
    bank.run_ledger();
    // The transaction's marker follows: the position never reaches the end of the log.
    bank.produce_in_a_transaction("deposits", 0, &[Raw::deposit("alice", 1, 1)]).await;
    bank.booked_once_and_in_order(1).await;
    assert_eq!(bank.position(0).await, 1);
    let caught_up = Arc::new(CaughtUp::new(bank.ledger.clone(), Deposits::TOPIC));
    let (running, stop) = (Arc::clone(&caught_up), CancellationToken::new());
    let stopped = stop.clone();
    let running = tokio::spawn(async move { running.run(stopped).await });
    until("the topic is known to be read", async || caught_up.is_current()).await;
    stop.cancel();
    running.await.unwrap();
    bank.close().await;
}
