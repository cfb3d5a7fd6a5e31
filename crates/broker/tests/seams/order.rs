//! Order per key, where the database or Kafka alone would not keep it.

use sqlx::Executor as _;

use crate::support::Bank;

/// A trigger that delays the commit of `slow` while the test holds a lock. Its row has a lower id than later rows.
const HELD_COMMITS: &str = "
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON broker.outbox DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.key = 'slow') EXECUTE FUNCTION hold();";

#[tokio::test]
async fn a_transaction_that_commits_late_is_not_skipped() {
    let mut bank = Bank::open().await;
    bank.run_till();
    bank.run_ledger();
    bank.pool("till").execute(HELD_COMMITS).await.unwrap();
    let mut lock = bank.pool("till").acquire().await.unwrap();
    lock.execute("SELECT pg_advisory_lock(1)").await.unwrap();
    tokio::join!(bank.deposit(&["slow"], 1), async {
        crate::support::until("the late commit waits", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
            )
            .fetch_one(&bank.pool("till"))
            .await
            .unwrap();
            waiting == 1
        })
        .await;
        bank.deposit(&["quick"], 3).await;
        bank.booked_once_and_in_order(3).await;
        lock.execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    });
    bank.booked_once_and_in_order(4).await;
    drop(lock);
    bank.close().await;
}
