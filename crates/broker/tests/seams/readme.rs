//! The README's counter, word for word.

include!("../../examples/counter/handler.rs");

use broker::{Cause, Outbox, Subscription};
use sqlx::Executor as _;

use crate::support::{Bank, until};

#[tokio::test]
async fn the_counter_of_the_readme_counts_each_visit_once() {
    let mut bank = Bank::open().await;
    let counts = bank.pool("ledger");
    let table = "CREATE TABLE counts (page text PRIMARY KEY, visits bigint NOT NULL DEFAULT 0,
                                      last_sequence bigint NOT NULL DEFAULT 0)";
    counts.execute(table).await.unwrap();
    broker_ops::topics::create(&bank.settings("counter"), &[Visit::TOPIC]).await.unwrap();
    let site = Outbox::new(bank.pool("till"), &bank.settings("site"));
    for (page, sequence) in [("home", 1), ("cart", 1), ("home", 2), ("home", 3)] {
        let mut tx = site.begin().await.unwrap();
        let sequence = Sequence::from_i64(sequence).unwrap();
        tx.append(Cause::default(), sequence, &Visit::Visited { page: page.to_owned() }).unwrap();
        tx.commit().await.unwrap();
    }
    bank.relay_with("till", bank.settings("site"));
    bank.consume_with(bank.settings("counter"), Subscription::new(Counter));
    until("all visits are counted", async || {
        let counted = sqlx::query_as("SELECT page, visits FROM counts ORDER BY page").fetch_all(&counts);
        let counted: Vec<(String, i64)> = counted.await.unwrap();
        counted == [("cart".to_owned(), 1), ("home".to_owned(), 3)]
    })
    .await;
    bank.delete_topics(&["visits", "dlq.counter"]).await;
    bank.close().await;
}
