//! Waves: the stock decides how many subscribers are notified, in order of arrival; a sold-out product sends no mails.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Placed, Shop, eventually, run};

/// A wave interval that is longer than a test: a notified subscriber keeps the claim on a unit.
const LONG: (&str, &str) = ("WAVE_INTERVAL", "1h");
const ONE_EACH: (&str, &str) = ("WAVE_FACTOR", "1");

/// Places an order that is confirmed.
async fn buy(shop: &Shop, quantity: i64) -> Placed {
    let order = shop.order("PEN", quantity, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    order
}

#[tokio::test]
async fn the_stock_decides_how_many_are_notified_in_order_of_arrival() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "2"), LONG]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"], "PEN").await;
    shop.restock("PEN", 3).await;
    inbox.receives(6).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b", "c", "d", "e", "f"], "three units allow six mails");
    let masked = |row: &Value| row["recipient"].as_str().unwrap_or_default().chars().next();
    let rows = shop.mails_about("PEN").await;
    assert_eq!(rows.iter().filter_map(masked).collect::<String>(), "abcdef", "queued in order of arrival");
    shop.reports("PEN", &json!({"waiting": 4, "notified": 6})).await;

    shop.restock("PEN", 1).await;
    inbox.mail("h@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    let notified = inbox.notified_names();
    assert_eq!(
        notified,
        ["a", "b", "c", "d", "e", "f", "g", "h"],
        "four units, eight mails, each subscriber once"
    );
}

#[tokio::test]
async fn a_notified_subscriber_has_the_wave_interval_to_buy_before_the_next_is_notified() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, ("WAVE_INTERVAL", "3s")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c"], "PEN").await;
    shop.restock("PEN", 1).await;
    inbox.receives(3).await;
    let mails = inbox.back_in_stock();
    let names: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(names, ["a@example.com", "b@example.com", "c@example.com"]);
    for pair in mails.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_secs(3), "{:?}", pair[1].at - pair[0].at);
    }
}

#[tokio::test]
async fn a_released_unit_is_announced_to_the_next_subscriber_and_to_no_one_twice() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, LONG]).await;
    shop.stock("PEN", 3).await;
    let orders = [buy(&shop, 1).await, buy(&shop, 1).await, buy(&shop, 1).await];
    shop.queue(&inbox, &["a", "b", "c"], "PEN").await;

    shop.refund(&orders[0]).await;
    let claim = inbox.mail("a@example.com", BACK).await.link(BACK);
    let order = json!({"email": "a@example.com", "payment_method": "pm_card_visa",
                       "claim": claim.rsplit('/').next(), "items": [{"sku": "PEN", "quantity": 1}]});
    let (_, placed) = shop.try_order(None, &order).await;
    shop.confirmed(placed["id"].as_str().unwrap()).await;

    // Two units are available; one counts as a's, who was notified within the interval, so one is left to announce.
    shop.refund(&orders[1]).await;
    shop.refund(&orders[2]).await;
    inbox.mail("b@example.com", BACK).await;
    // An order with a declined payment reserves both units for a moment and releases them.
    let declined = shop.order("PEN", 2, "pm_card_chargeDeclined").await;
    shop.ends(&declined.id, ["cancelled", "declined", "released"]).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b"]);
    assert_eq!(shop.mails_about("PEN").await.len(), 2);
    shop.reports("PEN", &json!({"waiting": 1, "notified": 2, "converted": 1, "units": 1})).await;
}

#[tokio::test]
async fn a_queued_mail_is_held_while_the_product_is_sold_out_and_sent_when_a_unit_is_released() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, LONG]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    inbox.refuse(true);
    shop.restock("PEN", 1).await;
    shop.refused("PEN", 1).await;
    let order = buy(&shop, 1).await;
    shop.system.quiesce().await.unwrap();
    inbox.refuse(false);
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty(), "a mail for a sold-out product");
    shop.reports("PEN", &json!({"waiting": 1, "notified": 0})).await;

    shop.refund(&order).await;
    inbox.mail("a@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"]);
    assert_eq!(shop.mails_about("PEN").await.len(), 1, "one row per subscriber and restock");
}

#[tokio::test]
async fn a_long_outage_of_the_mail_server_is_not_followed_by_a_flood_of_mails() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, ("WAVE_INTERVAL", "1s")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c", "d", "e", "f"], "PEN").await;
    inbox.refuse(true);
    shop.restock("PEN", 2).await;
    // The probing mails have pauses of 1, 2 and 4 seconds, so several intervals pass.
    shop.refused("PEN", 3).await;
    assert_eq!(shop.mails_about("PEN").await.len(), 2, "an unsent mail counts, however old it is");
    assert_eq!(shop.report("PEN").await["notified"], 0, "only an accepted mail counts");
    // The units are sold meanwhile: there is nothing left to announce.
    buy(&shop, 2).await;
    shop.system.quiesce().await.unwrap();
    inbox.refuse(false);
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty());
}

#[tokio::test]
async fn when_the_stock_falls_while_mails_are_queued_the_last_subscribers_wait_again() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, LONG]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c", "d", "e", "f"], "PEN").await;
    inbox.refuse(true);
    shop.restock("PEN", 6).await;
    shop.refused("PEN", 2).await;
    assert_eq!(shop.mails_about("PEN").await.len(), 6);
    buy(&shop, 4).await;
    // A wave must check the new stock before mails flow again.
    shop.system.quiesce().await.unwrap();
    eventually("the last subscribers wait again", async || {
        shop.system.service("notification").output().contains("back on the waitlist").then_some(())
    })
    .await;
    inbox.refuse(false);
    inbox.receives(2).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b"], "two units are left");
    shop.restock("PEN", 1).await;
    inbox.mail("c@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_subscriber_who_wants_more_than_the_stock_is_skipped_and_keeps_the_position() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[ONE_EACH, LONG]).await;
    shop.stock("PEN", 0).await;
    shop.subscribe(&inbox, "a@example.com", "PEN", 5).await;
    shop.subscribe(&inbox, "b@example.com", "PEN", 1).await;
    shop.subscribe(&inbox, "c@example.com", "PEN", 1).await;
    shop.restock("PEN", 1).await;
    inbox.mail("b@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["b"]);
    // Six units less b's one leave five to announce, and a comes before c.
    shop.restock("PEN", 5).await;
    inbox.mail("a@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b"]);
}

#[tokio::test]
async fn subscribers_of_a_delisted_product_are_notified_when_it_is_listed_again() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    let product = format!("{}/products/PEN", shop.system.url("inventory"));
    let delist = shop.operator(shop.http().delete(product)).send().await.unwrap();
    assert_eq!(delist.status(), 204);
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty(), "a mail for a delisted product");
    shop.stock("PEN", 0).await;
    eventually("a is notified", async || (inbox.notified_names() == ["a"]).then_some(())).await;
}

#[tokio::test]
async fn a_product_whose_wave_fails_does_not_hold_up_the_others() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    for (name, sku) in [("a", "PEN"), ("b", "CUP")] {
        shop.stock(sku, 0).await;
        shop.queue(&inbox, &[name], sku).await;
    }
    let currency = async |currency: &str| {
        let sql = format!("UPDATE products SET currency = '{currency}' WHERE sku = 'PEN'");
        shop.system.in_database("notification", &sql).await.unwrap();
    };
    // No price can be read from this: each of its waves fails.
    currency("none").await;
    shop.restock("PEN", 5).await;
    shop.system.quiesce().await.unwrap();
    shop.restock("CUP", 5).await;
    inbox.mail("b@example.com", BACK).await;
    currency("EUR").await;
    inbox.mail("a@example.com", BACK).await;
}

#[tokio::test]
async fn a_subscriber_whose_address_arrives_after_the_restock_is_notified_at_once() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[LONG]).await;
    shop.stock("PEN", 0).await;
    shop.system.quiesce().await.unwrap();
    shop.system.service("notification").kill();
    let placed = shop.order_sold_out("ada@example.com", "PEN", 1).await;
    // The rewind skips the contact, so the order arrives without it.
    run(&shop, "notification", &["rewind", "customers", "--to", "end"]).await.unwrap();
    shop.system.service("notification").start().await.unwrap();
    eventually("both channels wait", async || {
        let rows = shop.notifications(&format!("order_id={}&status=waiting_for_contact", placed.id)).await;
        (rows.len() == 2).then_some(())
    })
    .await;
    shop.restock("PEN", 5).await;
    shop.a_wave_has_passed(&inbox).await;
    run(&shop, "order", &["republish", "customers"]).await.unwrap();
    inbox.mail("ada@example.com", BACK).await;
}
