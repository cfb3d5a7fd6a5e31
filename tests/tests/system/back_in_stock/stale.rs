//! The expiry of subscriptions.

use serde_json::json;
use system_tests::{Inbox, Shop, eventually};

/// Lets the subscriptions to PEN expire in the database, and restarts the service, which then checks at once.
async fn time_runs_out(shop: &Shop, state: &str) {
    let over = format!("UPDATE subscriptions SET expires_at = now() WHERE sku = 'PEN' AND state = '{state}'");
    shop.system.in_database("notification", &over).await.unwrap();
    shop.system.service("notification").kill();
    shop.system.service("notification").start().await.unwrap();
}

#[tokio::test]
async fn expired_subscriptions_are_not_notified() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    shop.request_subscription("b@example.com", "PEN", 1).await;
    let confirm = inbox.mail("b@example.com", "/subscriptions/confirm").await.link("/subscriptions/confirm");
    time_runs_out(&shop, "pending").await;
    eventually("the unconfirmed subscription has expired", async || {
        let page = shop.http().get(&confirm).send().await.unwrap().text().await.unwrap();
        page.contains("This has ended").then_some(())
    })
    .await;
    let (status, page) = shop.post(&confirm).await;
    assert!(page.contains("This has ended"), "{status} {page}");

    time_runs_out(&shop, "waiting").await;
    shop.reports("PEN", &json!({"waiting": 0})).await;
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty());
    // New subscriptions are possible.
    shop.subscribe(&inbox, "c@example.com", "PEN", 1).await;
    inbox.receives(2).await;
}
