//! The retry and dead-letter policy of a subscription.

use std::num::NonZeroU32;

use broker::{Consumer, Policy, Subscription};
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::support::{Bank, Raw, until};

/// Deposits of bob's fail for a reason that might end by itself, but does not.
const FAIL_BOB: &str = "CREATE FUNCTION fail_bob() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN IF NEW.account = 'bob' THEN RAISE 'no exchange rate'; END IF; RETURN NEW; END $$;
     CREATE TRIGGER fail_bob BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION fail_bob()";

#[tokio::test]
async fn after_its_attempts_only_the_record_that_fails_becomes_a_dead_letter() {
    let mut bank = Bank::open().await;
    bank.pool("ledger").execute(FAIL_BOB).await.unwrap();
    bank.relay("ledger");
    let records = ["alice", "bob", "carol"].map(|account| Raw::deposit(account, 1, 1));
    bank.produce("deposits", 0, &records).await;

    let policy = Policy { attempts: NonZeroU32::new(2), ..Policy::default() };
    let subscription = Subscription::new(Ledger).with_policy(policy);
    let consumer = Consumer::new(bank.settings("ledger"), bank.ledger.clone(), vec![subscription]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    until("the others are booked", async || bank.bookings().await == 2).await;
    until("bob's deposit is a dead letter", async || bank.letters().await.len() == 1).await;
    let letter = bank.letters().await.remove(0);
    assert_eq!(letter.key.as_deref(), Some(b"bob".as_slice()));
    let cause = letter.header("dlq_cause").unwrap();
    assert!(cause.starts_with("not applied in ") && cause.contains("no exchange rate"), "{cause}");
    stop.cancel();
    running.await.unwrap().unwrap();
    bank.close().await;
}
