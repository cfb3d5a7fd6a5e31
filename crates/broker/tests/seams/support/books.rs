//! Makes deposits, and checks that the books have each of them once and in order.

use std::collections::BTreeMap;

use broker_ops::{OpsError, RewindTo, Rewound};

use super::{Bank, Raw, comes_true, until};
use crate::events::{Deposits, Made};
use crate::till;

impl Bank {
    /// Makes `rounds` deposits of 1 to each of these accounts, one transaction per round.
    pub(crate) async fn deposit(&self, accounts: &[&str], rounds: usize) {
        for _ in 0..rounds {
            let mut tx = self.till.begin().await.unwrap();
            for account in accounts {
                till::deposit(&mut tx, account, 1, "").await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    }

    /// Makes a deposit of 1 with this memo to each of these accounts, one transaction per account.
    pub(crate) async fn deposit_with_memo(&self, accounts: &[&str], memo: &str) {
        for account in accounts {
            let mut tx = self.till.begin().await.unwrap();
            till::deposit(&mut tx, account, 1, memo).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Makes `each` deposits of 1 to each of these accounts, one transaction per account.
    pub(crate) async fn deposit_in_bulk(&self, accounts: &[&str], each: usize) {
        for account in accounts {
            let mut tx = self.till.begin().await.unwrap();
            let made = Made { account: (*account).to_owned(), amount: 1, memo: String::new() };
            till::append(&mut tx, account, &vec![Deposits::Made(made); each]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    pub(crate) async fn booked_at_least(&self, count: usize) {
        until(&format!("{count} are booked"), async || self.bookings().await >= count).await;
    }

    /// Waits until `expected` deposits are booked and the outboxes are empty, then checks the books.
    pub(crate) async fn booked_once_and_in_order(&self, expected: usize) {
        if !comes_true(async || self.bookings().await >= expected).await {
            let (booked, waiting) = (self.bookings().await, self.outbox_rows("till").await);
            panic!("{booked} of {expected} deposits are booked, {waiting} wait in the till's outbox");
        }
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
        assert_eq!(wrong, 0, "balances are the sums of the bookings");
    }

    pub(crate) async fn bookings(&self) -> usize {
        self.count("ledger", "bookings").await
    }

    pub(crate) async fn outbox_rows(&self, service: &str) -> usize {
        self.count(service, "broker.outbox").await
    }

    /// Returns the size of the broker's tables with their indexes.
    pub(crate) async fn kibibytes(&self, service: &str) -> i64 {
        let tables = "SELECT (sum(pg_total_relation_size(oid)) / 1024)::bigint FROM pg_class
                      WHERE relkind = 'r' AND relnamespace = 'broker'::regnamespace";
        sqlx::query_scalar(tables).fetch_one(&self.pool(service)).await.unwrap()
    }

    async fn count(&self, service: &str, table: &str) -> usize {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&self.pool(service))
            .await
            .unwrap();
        usize::try_from(rows).unwrap()
    }
}

impl Bank {
    /// Returns the dead letters, in the order in which their records were read.
    pub(crate) async fn letters(&self) -> Vec<Raw> {
        until("the dead letters are published", async || self.outbox_rows("ledger").await == 0).await;
        let mut letters = self.records("dlq.ledger").await;
        letters.sort_by_key(|letter| letter.header("dlq_offset").unwrap().parse::<i64>().unwrap());
        letters
    }

    /// Returns the ledger's position in this partition of `deposits`.
    pub(crate) async fn position(&self, partition: i32) -> i64 {
        sqlx::query_scalar(
            "SELECT next_offset FROM broker.positions WHERE topic = 'deposits' AND partition = $1",
        )
        .bind(partition)
        .fetch_one(&self.pool("ledger"))
        .await
        .unwrap()
    }

    /// Waits until the ledger's positions are at the ends of all logs of `deposits`.
    pub(crate) async fn nothing_is_unread(&self) {
        let records = i64::try_from(self.records("deposits").await.len()).unwrap();
        let read = "SELECT coalesce(sum(greatest(next_offset, 0)), 0)::bigint FROM broker.positions
                    WHERE topic = 'deposits'";
        until("all is read", async || {
            sqlx::query_scalar::<_, i64>(read).fetch_one(&self.pool("ledger")).await.unwrap() == records
        })
        .await;
    }

    /// Rewinds the running ledger to the beginning, and returns when it has read all records again.
    pub(crate) async fn rewound_to_the_beginning_and_read(&self) {
        let rewound = self.rewind(RewindTo::Beginning).await.unwrap();
        for moved in rewound {
            until("it is read again", async || self.position(moved.partition).await == moved.from).await;
        }
    }

    pub(crate) async fn rewind(&self, to: RewindTo) -> Result<Vec<Rewound>, OpsError> {
        broker_ops::rewind(&self.settings("ledger"), &self.pool("ledger"), "deposits", None, to).await
    }
}
