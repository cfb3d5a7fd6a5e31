//! Deposits in, and whether the books hold each of them once and in order.

use std::collections::BTreeMap;

use super::{Bank, until};
use crate::till;

impl Bank {
    /// `rounds` deposits of 1 to each of these accounts, a transaction a round.
    pub(crate) async fn deposit(&self, accounts: &[&str], rounds: usize) {
        for _ in 0..rounds {
            let mut tx = self.till.begin().await.unwrap();
            for account in accounts {
                till::deposit(&mut tx, account, 1).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    }

    /// Waits until `expected` deposits are booked and nothing waits anywhere, then looks at the books.
    pub(crate) async fn booked_once_and_in_order(&self, expected: usize) {
        until(&format!("{expected} deposits are booked"), async || self.bookings().await >= expected).await;
        until("the outboxes are empty", async || {
            self.outbox_rows("till").await + self.outbox_rows("ledger").await == 0
        })
        .await;
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT account, deposit FROM bookings ORDER BY id")
            .fetch_all(&self.pool("ledger"))
            .await
            .unwrap();
        assert_eq!(rows.len(), expected, "each deposit is booked once");
        let mut by_account: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (account, deposit) in rows {
            by_account.entry(account).or_default().push(deposit);
        }
        for (account, deposits) in by_account {
            let in_order: Vec<i64> = (1..).take(deposits.len()).collect();
            assert_eq!(deposits, in_order, "{account} is booked in order, without a gap");
        }
        let wrong: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM accounts
             WHERE balance <> (SELECT sum(amount) FROM bookings WHERE account = accounts.id)",
        )
        .fetch_one(&self.pool("ledger"))
        .await
        .unwrap();
        assert_eq!(wrong, 0, "balances are the sums of what was booked");
    }

    pub(crate) async fn bookings(&self) -> usize {
        self.count("ledger", "bookings").await
    }

    pub(crate) async fn outbox_rows(&self, service: &str) -> usize {
        self.count(service, "broker.outbox").await
    }

    async fn count(&self, service: &str, table: &str) -> usize {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&self.pool(service))
            .await
            .unwrap();
        usize::try_from(rows).unwrap()
    }
}
