//! Outages of the mail server or of the service: afterwards, the current stock decides.

use serde_json::json;
use system_tests::{BACK, Inbox, Shop};

const SETTINGS: [(&str, &str); 2] = [("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")];

async fn sell_out(shop: &Shop, quantity: i64) -> system_tests::Placed {
    let order = shop.order("PEN", quantity, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    assert_eq!(shop.available("PEN").await, 0);
    order
}

#[tokio::test]
async fn a_rejected_mail_is_retried_across_a_restart_and_sent_once() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["grace"], "PEN").await;
    inbox.refuse(true);
    shop.restock("PEN", 5).await;
    shop.refused("PEN", 1).await;
    let figures = shop.report("PEN").await;
    assert_eq!(
        (&figures["notified"], &figures["waiting"]),
        (&json!(0), &json!(1)),
        "only an accepted mail counts"
    );
    shop.system.service("notification").kill();
    inbox.refuse(false);
    shop.system.service("notification").start().await.unwrap();
    inbox.mail("grace@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["grace"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 1})).await;
}

#[tokio::test]
async fn stock_that_was_sold_during_an_outage_is_not_announced_after_it() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b"], "PEN").await;
    shop.system.service("notification").kill();
    shop.restock("PEN", 2).await;
    sell_out(&shop, 2).await;
    shop.system.service("notification").start().await.unwrap();
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty(), "a mail for a sold-out product");
    assert!(shop.mails_about("PEN").await.is_empty(), "a mail is queued");
}

#[tokio::test]
async fn mails_queued_before_an_outage_are_not_sent_after_it_when_the_product_is_sold_out() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c", "d"], "PEN").await;
    inbox.refuse(true);
    shop.restock("PEN", 4).await;
    shop.refused("PEN", 1).await;
    shop.system.service("notification").kill();
    inbox.refuse(false);
    let order = sell_out(&shop, 4).await;
    shop.system.service("notification").start().await.unwrap();
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty(), "a mail by the stock from before the outage");

    let url = format!("{}/orders/{}/cancel", shop.system.url("order"), order.id);
    shop.http().post(url).bearer_auth(&order.cancel_token).send().await.unwrap();
    inbox.receives(5).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b", "c", "d"]);
    assert_eq!(shop.mails_about("PEN").await.len(), 4, "one row per subscriber and restock");
}
