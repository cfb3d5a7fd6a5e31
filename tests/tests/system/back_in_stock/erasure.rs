//! An erased address is not notified any more; the figures stay.

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use system_tests::{BACK, Inbox, Shop, eventually, tables_with};

/// Checks that no notification shows a recipient, masked or not.
async fn no_recipient_is_known(shop: &Shop) {
    for row in shop.notifications("sku=PEN").await {
        assert_eq!(row.get("recipient"), Some(&serde_json::Value::Null), "{row}");
    }
}

#[tokio::test]
async fn an_erased_customer_is_not_notified() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    let order = json!({"email": "ada@example.com", "payment_method": "pm_card_visa", "notify_me": true,
                       "items": [{"sku": "PEN", "quantity": 1}]});
    let (_, placed) = shop.try_order(None, &order).await;
    shop.reports("PEN", &json!({"waiting": 1})).await;
    let customer = shop.customer_of(placed["id"].as_str().unwrap()).await;
    let url = format!("{}/customers/{customer}", shop.system.url("order"));
    assert_eq!(shop.operator(shop.http().delete(url)).send().await.unwrap().status(), 202);
    shop.reports("PEN", &json!({"waiting": 0})).await;
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty());
    no_recipient_is_known(&shop).await;

    // The same address may subscribe again.
    shop.queue(&inbox, &["ada"], "PEN").await;
    inbox.mail("ada@example.com", BACK).await;
}

#[tokio::test]
async fn an_address_that_never_ordered_is_erased_too() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b"], "PEN").await;
    shop.restock("PEN", 1).await;
    inbox.mail("a@example.com", BACK).await;
    // The service counts a mail as sent a moment after the mail server has accepted it.
    shop.reports("PEN", &json!({"notified": 1})).await;
    for email in ["A@example.com", "b@example.com", "unknown@example.com"] {
        shop.erase("notification", email).await;
    }
    shop.reports("PEN", &json!({"waiting": 0, "notified": 1})).await;
    no_recipient_is_known(&shop).await;
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"], "only before the erasure");
    let join = inbox.mail("a@example.com", BACK).await.link("/subscriptions/join");
    assert_eq!(shop.click(&join).await, 404, "the subscription does not exist any more");
}

#[tokio::test]
async fn an_erasure_does_not_miss_a_subscription_that_is_made_at_the_same_moment() {
    let (inbox, email) = (Inbox::open(), "ada@example.com");
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("MUG", 1).await;
    shop.stock("PEN", 0).await;
    shop.confirmed(&shop.order_of(email, "MUG", 1, "pm_card_visa").await.id).await;
    shop.system.quiesce().await.unwrap();

    // The transaction of an erasure, whose changes nobody sees yet.
    let url = shop.system.database_url("notification");
    let mut erasure = PgConnection::connect(url).await.unwrap();
    let erase = "BEGIN; UPDATE contacts SET email = NULL, erased_at = now()";
    sqlx::raw_sql(erase).execute(&mut erasure).await.unwrap();
    shop.order_sold_out(email, "PEN", 1).await;
    let mut watcher = PgConnection::connect(url).await.unwrap();
    let erasing: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut erasure).await.unwrap();
    let reached = "SELECT EXISTS (SELECT FROM subscriptions WHERE sku = 'PEN') OR EXISTS (
        SELECT FROM pg_locks AS waiting JOIN pg_locks AS held USING (transactionid)
        WHERE NOT waiting.granted AND held.granted AND held.pid = $1)";
    eventually("the subscription is made, or waits for the erasure", async || {
        let reached: bool = sqlx::query_scalar(reached).bind(erasing).fetch_one(&mut watcher).await.unwrap();
        reached.then_some(())
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut erasure).await.unwrap();
    shop.system.quiesce().await.unwrap();
    let tables = tables_with(&shop, email).await;
    assert!(!tables.iter().any(|table| table.starts_with("notification")), "{tables:?}");
}
