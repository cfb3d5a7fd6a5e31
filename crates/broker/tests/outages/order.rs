//! Order per key while publications time out.

use std::cell::Cell;
use std::time::Duration;

use crate::private::PrivateBank;

/// An idempotent producer alone would not keep the order: records after the one that timed out would be delivered before its
/// repetition.
#[tokio::test]
async fn later_events_stay_behind_a_first_publication_that_times_out() {
    let mut bank = PrivateBank::open().await;
    bank.run_ledger();
    let till = bank.process("till").start();
    bank.deposit(&["alice"], 1).await;
    bank.booked_once_and_in_order(1).await;

    let kafka = bank.kafka();
    kafka.kill();
    let (deposits, is_back) = (Cell::new(1), Cell::new(false));
    // Continuously, so that some have not timed out when earlier ones have.
    let deposit = async {
        while !is_back.get() {
            bank.deposit(&["alice"], 1).await;
            deposits.set(deposits.get() + 1);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let outage = async {
        till.says("Kafka cannot be reached").await;
        kafka.start().await.unwrap();
        is_back.set(true);
    };
    tokio::join!(deposit, outage);
    bank.booked_once_and_in_order(deposits.get()).await;
    bank.close().await;
}
