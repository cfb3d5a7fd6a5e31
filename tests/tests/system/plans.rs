//! The statements of the order flow find rows by an index, however few rows the tables had when the plans were made.

use std::time::Duration;

use futures::future::join_all;
use sqlx::{Connection as _, PgConnection};
use system_tests::Shop;

/// The rows of each table before the orders whose reads count.
const ROWS: usize = 300;
/// The number of orders that are placed concurrently.
const AT_ONCE: usize = 10;
/// The orders whose reads count: one after the other, so that each is a batch of its own in each service.
const SINGLE: usize = 30;
/// The most rows of a table that sequential scans may read: a few scans by periodic tasks. A scan per batch would read
/// [`ROWS`] times [`SINGLE`].
const MOST: i64 = 3_000;

#[tokio::test]
async fn the_order_flow_scans_no_table_sequentially() {
    let shop = &Shop::open().await;
    shop.stock("MUG", 10_000).await;
    // Each of a new customer, whose event is one more record.
    let order = async |number: usize| {
        shop.order_of(&format!("customer-{number}@example.com"), "MUG", 1, "pm_card_visa").await
    };
    for first in (0..ROWS).step_by(AT_ONCE) {
        join_all((first..first + AT_ONCE).map(order)).await;
    }
    shop.system.quiesce().await.unwrap();
    for number in ROWS..ROWS + SINGLE {
        shop.confirmed(&order(number).await.id).await;
    }
    shop.system.quiesce().await.unwrap();
    let mut scanned = Vec::new();
    for service in shop.system.services() {
        // A session reports its statistics at the latest when it ends.
        assert!(shop.system.service(service).stop(Duration::from_secs(10)).await);
        let mut database = PgConnection::connect(shop.system.database_url(service)).await.unwrap();
        // The owner's role, with which tests count the waiting rows of the outbox, has other defaults.
        let select = "SELECT relname::text, seq_tup_read FROM pg_stat_user_tables
                      WHERE schemaname || '.' || relname <> 'broker.outbox' AND seq_tup_read > $1";
        let tables: Vec<(String, i64)> =
            sqlx::query_as(select).bind(MOST).fetch_all(&mut database).await.unwrap();
        scanned.extend(tables.into_iter().map(|(table, rows)| format!("{service}: {table}, {rows} rows")));
    }
    assert!(scanned.is_empty(), "sequential scans read {scanned:?}");
}
