//! Notification's database: nobody is told twice, and those who wait go on waiting.

use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Shop};

use super::{back_up, cancel, is_held, repair, restore};

/// A sold-out order whose customer asks to be told.
async fn asks(shop: &Shop, email: &str, sku: &str) -> String {
    let order = json!({"email": email, "payment_method": "pm_card_visa", "notify_me": true,
                       "items": [{"sku": sku, "quantity": 1}]});
    let (status, order) = shop.try_order(None, &order).await;
    assert_eq!(status, 202, "{order}");
    let id = order["id"].as_str().unwrap().to_owned();
    shop.ends(&id, ["cancelled", "voided", "rejected"]).await;
    id
}

/// The messages as the operator sees them, without what was lost of those that the copy did not have.
async fn messages(shop: &Shop) -> Vec<Value> {
    let mut rows = shop.notifications("limit=200").await;
    rows.sort_by_key(|row| row["id"].as_str().map(ToOwned::to_owned));
    let seen = |row: &Value| json!([row["id"], row["kind"], row["channel"], row["status"], row["order_id"]]);
    rows.iter().map(seen).collect()
}

#[tokio::test]
async fn notifications_database_from_an_older_copy_tells_nobody_twice() {
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
    assert_eq!(cancel(&shop, &cancelled).await, 202);
    shop.told(&bought.id, "order_confirmed").await;
    shop.told(&cancelled.id, "order_refunded").await;
    for email in ["cid@example.com", "dee@example.com"] {
        shop.told(&asks(&shop, email, "PEN").await, "order_cancelled").await;
    }
    shop.restock("PEN", 3).await;
    inbox.receives(3).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.names_told(), ["ann", "ben", "cid"]);
    shop.system.quiesce().await.unwrap();
    let (before, mails) = (messages(&shop).await, inbox.count());

    restore(&shop, "notification").await;
    is_held(&shop, "notification").await;
    let lacks = repair(&shop, "notification").await;
    assert!(lacks.contains("notification.sent.v1") && lacks.contains("subscription.confirmed.v1"), "{lacks}");
    shop.system.quiesce().await.unwrap();
    assert_eq!(messages(&shop).await, before);
    assert_eq!(inbox.count(), mails, "nobody is told twice");

    // Whom an order signed up is found again with the order, and is told next.
    shop.restock("PEN", 1).await;
    inbox.mail("dee@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.names_told(), ["ann", "ben", "cid", "dee"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 4})).await;
}
