//! Orders of subscribers: an order suspends the subscription while it stands, but never ends it.

use serde_json::json;
use system_tests::{BACK, Inbox, Shop, eventually};

const CONFIRM: &str = "/subscriptions/confirm";
const SETTINGS: [(&str, &str); 2] = [("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")];

#[tokio::test]
async fn a_cancelled_order_leaves_the_subscriber_at_the_old_position() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    shop.stock("PEN", 0).await;
    shop.subscribe(&inbox, "a@example.com", "PEN", 5).await;
    shop.subscribe(&inbox, "b@example.com", "PEN", 5).await;
    // One unit is too few for the subscribers, but a stranger who knows an address can order it and cancel.
    shop.restock("PEN", 1).await;
    let strangers = shop.order_of("A@example.com", "PEN", 1, "pm_card_visa").await;
    shop.confirmed(&strangers.id).await;
    shop.reports("PEN", &json!({"waiting": 1, "bought": 1, "notified": 0})).await;
    shop.refund(&strangers).await;
    shop.reports("PEN", &json!({"waiting": 2, "bought": 0})).await;
    // The owner's order, whose payment is authorized but cannot be captured.
    let failed = shop.order_of("a@example.com", "PEN", 1, "pm_captureFails").await;
    shop.ends(&failed.id, ["cancelled", "voided", "released"]).await;
    shop.reports("PEN", &json!({"waiting": 2, "bought": 0})).await;
    shop.restock("PEN", 4).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"], "five units are available for the first subscriber");
}

#[tokio::test]
async fn an_order_suspends_the_subscription_while_it_stands() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    // The mail is already queued when the order is placed.
    inbox.refuse(true);
    shop.restock("PEN", 2).await;
    shop.refused("PEN", 1).await;
    let bought = shop.order_of("a@example.com", "PEN", 1, "pm_card_visa").await;
    shop.confirmed(&bought.id).await;
    shop.reports("PEN", &json!({"waiting": 0, "bought": 1, "notified": 0})).await;
    inbox.refuse(false);
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty(), "a mail for a bought product");
    // After the cancellation, the subscriber is notified of the existing stock at once.
    shop.refund(&bought).await;
    inbox.mail("a@example.com", BACK).await;
    shop.reports("PEN", &json!({"waiting": 0, "bought": 0, "notified": 1})).await;
    assert_eq!(shop.mails_about("PEN").await.len(), 1);
}

#[tokio::test]
async fn a_subscriber_who_has_bought_and_subscribes_again_is_notified() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    shop.stock("PEN", 0).await;
    shop.subscribe(&inbox, "a@example.com", "PEN", 5).await;
    shop.restock("PEN", 1).await;
    shop.confirmed(&shop.order_of("a@example.com", "PEN", 1, "pm_card_visa").await.id).await;
    shop.reports("PEN", &json!({"waiting": 0, "bought": 1})).await;
    shop.request_subscription("a@example.com", "PEN", 5).await;
    let second = eventually("the second confirmation request", async || {
        let mails = inbox.of("a@example.com");
        mails.iter().filter(|mail| mail.text.contains(CONFIRM)).nth(1).map(|mail| mail.link(CONFIRM))
    });
    assert!(shop.click(&second.await).await.is_success());
    shop.reports("PEN", &json!({"waiting": 1, "bought": 0})).await;
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"]);
}
