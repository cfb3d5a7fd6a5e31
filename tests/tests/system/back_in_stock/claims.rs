//! The figures from a sold-out order to the order that follows the back-in-stock mail.

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Shop};
use testkit::topics;

fn order(email: &str, quantity: i64) -> Value {
    json!({"email": email, "payment_method": "pm_card_visa", "items": [{"sku": "PEN", "quantity": quantity}]})
}

/// Places an order and waits until it is confirmed.
async fn buy(shop: &Shop, order: &Value) {
    shop.confirmed(&shop.place(order).await.id).await;
}

#[tokio::test]
async fn a_sold_out_order_leads_to_a_back_in_stock_mail_and_the_next_order_counts_as_converted() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.order_sold_out("Ada@Example.com", "PEN", 2).await;
    inbox.mail("ada@example.com", "cancelled").await;
    shop.reports("PEN", &json!({"waiting": 1})).await;

    shop.restock("PEN", 5).await;
    let link = inbox.mail("ada@example.com", BACK).await.link(BACK);
    assert_eq!(shop.click(&link).await, StatusCode::NO_CONTENT);
    let mut second = order("ada@example.com", 2);
    second["claim"] = link.rsplit('/').next().unwrap().into();
    buy(&shop, &second).await;
    let all = json!({"waiting": 0, "notified": 1, "clicked": 1, "converted": 1, "bought": 0, "units": 2});
    shop.reports("PEN", &all).await;
    // A second order with the same claim does not count.
    buy(&shop, &second).await;
    shop.system.quiesce().await.unwrap();
    shop.reports("PEN", &all).await;
    // Every record has a trace, and the records of the back-in-stock messages name the restock as their cause.
    let records = topics::read(shop.system.brokers(), shop.system.topic_prefix()).await.unwrap();
    let header = |record: &topics::Record, name: &str| {
        let headers = String::from_utf8_lossy(&record.headers).into_owned();
        headers.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    assert!(records.iter().all(|record| header(record, "traceparent").is_some()));
    let restock =
        records.iter().find(|record| header(record, "ce_type").as_deref() == Some("stock.replenished.v1"));
    let is_notified =
        |record: &&topics::Record| String::from_utf8_lossy(&record.value).contains("back_in_stock");
    let notified: Vec<_> =
        records.iter().filter(is_notified).map(|record| header(record, "ce_causationid")).collect();
    assert_eq!(notified, vec![header(restock.unwrap(), "ce_id"); 2], "one per channel");
}

#[tokio::test]
async fn a_subscriber_who_has_bought_the_product_is_not_notified() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    shop.subscribe(&inbox, "a@example.com", "PEN", 3).await;
    shop.subscribe(&inbox, "b@example.com", "PEN", 3).await;
    // Two units are too few for either subscriber, but a can buy one.
    shop.restock("PEN", 2).await;
    buy(&shop, &order("A@example.com", 1)).await;
    shop.reports("PEN", &json!({"waiting": 1, "bought": 1, "notified": 0})).await;
    // A cancelled order does not end a subscription.
    let declined = json!({"email": "b@example.com", "payment_method": "pm_card_chargeDeclined",
                          "items": [{"sku": "PEN", "quantity": 1}]});
    let (_, placed) = shop.try_order(None, &declined).await;
    shop.ends(placed["id"].as_str().unwrap(), ["cancelled", "declined", "released"]).await;
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["b"]);
}

#[tokio::test]
async fn a_notified_subscriber_who_buys_without_the_claim_counts_as_bought() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    shop.restock("PEN", 5).await;
    inbox.mail("a@example.com", BACK).await;
    let mut unknown = order("a@example.com", 1);
    unknown["claim"] = "a claim that was never given".into();
    buy(&shop, &unknown).await;
    shop.reports("PEN", &json!({"notified": 1, "bought": 1, "converted": 0, "units": 0})).await;
}

#[tokio::test]
async fn a_form_and_two_orders_of_one_address_are_one_subscription() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["ada"], "PEN").await;
    shop.order_sold_out("ADA@example.com", "PEN", 2).await;
    shop.order_sold_out("ada@Example.com", "PEN", 2).await;
    shop.reports("PEN", &json!({"waiting": 1})).await;
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["ada"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 1})).await;
}

#[tokio::test]
async fn one_click_in_the_orders_mail_ends_the_subscription_of_the_order() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.order_sold_out("ada@example.com", "PEN", 2).await;
    let undo =
        inbox.mail("ada@example.com", "/subscriptions/unsubscribe").await.link("/subscriptions/unsubscribe");
    shop.reports("PEN", &json!({"waiting": 1})).await;
    assert_eq!(shop.click(&undo).await, StatusCode::OK);
    shop.reports("PEN", &json!({"waiting": 0})).await;
    // The mail of an order without `notify_me` offers the subscription by a link.
    let (_, placed) = shop.try_order(None, &order("bob@example.com", 1)).await;
    shop.ends(placed["id"].as_str().unwrap(), ["cancelled", "voided", "rejected"]).await;
    let join = inbox.mail("bob@example.com", "/subscriptions/join").await.link("/subscriptions/join");
    assert_eq!(shop.click(&join).await, StatusCode::OK);
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["bob"]);
}
