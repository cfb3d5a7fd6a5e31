//! An erased address is not notified any more; the figures stay.

use serde_json::json;
use system_tests::{BACK, Inbox, Shop};

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
        let url = format!("{}/erasures", shop.system.url("notification"));
        let answer =
            shop.operator(shop.http().post(url)).json(&json!({"email": email})).send().await.unwrap();
        assert_eq!(answer.status(), 202, "known or not");
    }
    shop.reports("PEN", &json!({"waiting": 0, "notified": 1})).await;
    no_recipient_is_known(&shop).await;
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"], "only before the erasure");
    let join = inbox.mail("a@example.com", BACK).await.link("/subscriptions/join");
    assert_eq!(shop.click(&join).await, 404, "the subscription does not exist any more");
}
