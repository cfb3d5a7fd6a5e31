//! Shutdown while a server does not answer.

use std::time::Duration;

use crate::private::PrivateBank;

const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dave"];

#[tokio::test]
async fn shutdown_without_kafka_or_postgres_is_bounded() {
    let bank = PrivateBank::open().await;
    let (kafka, postgres) = (bank.kafka(), bank.postgres());
    for (server, booked) in [(kafka, 4), (postgres, 8)] {
        let mut services = [bank.process("till").start(), bank.process("ledger").start()];
        bank.deposit(&ACCOUNTS, 1).await;
        bank.booked_once_and_in_order(booked).await;
        server.freeze();
        for service in &mut services {
            let took = service.stop().await;
            assert!(took < Duration::from_secs(8), "{} frozen: it took {took:?}", server.name());
        }
        server.thaw();
    }
    bank.close().await;
}
