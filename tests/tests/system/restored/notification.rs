//! Notification's database: nobody is notified twice, and those who wait go on waiting.

use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Shop};

use super::{back_up, is_held, repair, restore};

/// The messages as the operator sees them, without what was lost of those that the copy did not have.
async fn messages(shop: &Shop) -> Vec<Value> {
    let mut rows = shop.notifications("limit=200").await;
    rows.sort_by_key(|row| row["id"].as_str().map(ToOwned::to_owned));
    let seen = |row: &Value| json!([row["id"], row["kind"], row["channel"], row["status"], row["order_id"]]);
    rows.iter().map(seen).collect()
}

#[tokio::test]
async fn notifications_database_from_an_older_copy_sends_no_message_twice() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("MUG", 10).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["ann", "ben"], "PEN").await;
    shop.system.quiesce().await.unwrap();
    back_up(&shop, "notification").await;

    let bought = shop.order("MUG", 1, "pm_card_visa").await;
    let cancelled = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&cancelled.id).await;
    shop.cancel(&cancelled).await;
    shop.notified(&bought.id, "order_confirmed").await;
    shop.notified(&cancelled.id, "order_refunded").await;
    for email in ["cid@example.com", "dee@example.com"] {
        shop.notified(&shop.order_sold_out(email, "PEN", 1).await.id, "order_cancelled").await;
    }
    shop.restock("PEN", 3).await;
    inbox.receives(3).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["ann", "ben", "cid"]);
    shop.system.quiesce().await.unwrap();
    let (before, mails) = (messages(&shop).await, inbox.count());

    restore(&shop, "notification").await;
    is_held(&shop, "notification").await;
    let lacks = repair(&shop, "notification").await;
    assert!(lacks.contains("notification.sent.v1") && lacks.contains("subscription.confirmed.v1"), "{lacks}");
    shop.system.quiesce().await.unwrap();
    assert_eq!(messages(&shop).await, before);
    assert_eq!(inbox.count(), mails, "nobody is notified twice");

    // Whom an order signed up is found again with the order, and is notified next.
    shop.restock("PEN", 1).await;
    inbox.mail("dee@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["ann", "ben", "cid", "dee"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 4})).await;
}
