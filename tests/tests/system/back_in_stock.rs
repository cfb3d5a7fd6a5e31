//! "Notify me when it is back", from the sold-out order to the order that comes of it.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stack::System;
use system_tests::{Inbox, Shop, eventually};

/// What only the mail that tells of it has: the link with the claim.
const BACK: &str = "/c/";

async fn shop_with(inbox: &Inbox) -> Shop {
    Shop::with(System::builder().env("notification", "SMTP_URL", inbox.url())).await
}

/// The operator's figures of a product.
async fn report(shop: &Shop, sku: &str) -> Value {
    let url = format!("{}/reports/notify-me", shop.system.url("notification"));
    let page: Value = shop.operator(shop.http().get(url)).send().await.unwrap().json().await.unwrap();
    page["items"].as_array().unwrap().iter().find(|row| row["sku"] == sku).cloned().unwrap_or_default()
}

async fn post(shop: &Shop, link: &str) -> StatusCode {
    let body = "List-Unsubscribe=One-Click";
    let request =
        shop.http().post(link).header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.unwrap().status()
}

async fn subscribe(shop: &Shop, email: &str, sku: &str) {
    let url = format!("{}/subscriptions", shop.system.url("notification"));
    let answer = shop.http().post(url).json(&json!({"email": email, "sku": sku})).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"status": "accepted"}));
}

#[tokio::test]
async fn who_ordered_in_vain_is_told_and_the_order_that_follows_is_counted() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    shop.stock("PEN", 0).await;
    let mut order = json!({"email": "Ada@Example.com", "payment_method": "pm_card_visa", "notify_me": true,
                           "items": [{"sku": "PEN", "quantity": 1}]});
    let (status, placed) = shop.try_order(None, &order).await;
    assert_eq!(status, 202, "{placed}");
    shop.ends(placed["id"].as_str().unwrap(), ["cancelled", "voided", "rejected"]).await;
    inbox.mail("ada@example.com", "cancelled").await;
    eventually("she waits", async || (report(&shop, "PEN").await["waiting"] == 1).then_some(())).await;

    shop.restock("PEN", 5).await;
    let mail = inbox.mail("ada@example.com", BACK).await;
    assert_eq!(mail.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    let link = mail.link("/c/");
    assert_eq!(shop.http().get(&link).send().await.unwrap().status(), 200);
    assert_eq!(report(&shop, "PEN").await["clicked"], 0, "a GET alone, as a mail scanner's, counts nothing");
    for _again in 0..2 {
        assert_eq!(post(&shop, &link).await, 204);
    }
    assert_eq!(report(&shop, "PEN").await["clicked"], 1, "a click counts once");

    order["claim"] = link.rsplit('/').next().unwrap().into();
    let (status, placed) = shop.try_order(None, &order).await;
    assert_eq!(status, 202, "{placed}");
    shop.confirmed(placed["id"].as_str().unwrap()).await;
    eventually("the order is counted", async || (report(&shop, "PEN").await["converted"] == 1).then_some(()))
        .await;
    let figures = report(&shop, "PEN").await;
    assert_eq!(
        (&figures["waiting"], &figures["notified"], &figures["units"]),
        (&json!(0), &json!(1), &json!(1))
    );
    shop.system.settled().await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_told_only_after_confirming_and_not_after_unsubscribing() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    shop.stock("PEN", 0).await;
    for email in ["grace@example.com", "joan@example.com", "silent@example.com"] {
        subscribe(&shop, email, "PEN").await;
    }
    for email in ["grace@example.com", "joan@example.com"] {
        let confirm = inbox.mail(email, "confirm").await.link("/subscriptions/confirm");
        assert_eq!(shop.http().get(&confirm).send().await.unwrap().status(), 200);
        assert!(post(&shop, &confirm).await.is_success());
        assert!(post(&shop, &confirm).await.is_success(), "done again: the same page");
    }
    eventually("two wait", async || (report(&shop, "PEN").await["waiting"] == 2).then_some(())).await;
    let unsubscribe = inbox.mail("joan@example.com", "confirm").await.link("/subscriptions/unsubscribe");
    assert!(post(&shop, &unsubscribe).await.is_success());
    assert!(post(&shop, &unsubscribe).await.is_success());

    shop.restock("PEN", 50).await;
    inbox.mail("grace@example.com", BACK).await;
    shop.system.settled().await.unwrap();
    for email in ["joan@example.com", "silent@example.com"] {
        assert!(!inbox.of(email).iter().any(|mail| mail.text.contains(BACK)), "{email} was told");
    }
    assert_eq!(report(&shop, "PEN").await["notified"], 1);
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_tried_again_across_a_restart_and_nobody_is_told_twice() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    shop.stock("PEN", 0).await;
    subscribe(&shop, "grace@example.com", "PEN").await;
    let confirm = inbox.mail("grace@example.com", "confirm").await.link("/subscriptions/confirm");
    post(&shop, &confirm).await;
    inbox.refuse(true);
    shop.restock("PEN", 5).await;
    eventually("the send was tried in vain", async || {
        let rows = shop.notifications("sku=PEN&kind=back_in_stock").await;
        rows.iter().any(|row| row["channel"] == "smtp" && row["attempts"].as_i64() > Some(0)).then_some(())
    })
    .await;
    assert_eq!(report(&shop, "PEN").await["notified"], 0, "told means accepted");
    shop.system.service("notification").kill();
    inbox.refuse(false);
    shop.system.service("notification").start().await.unwrap();
    inbox.mail("grace@example.com", BACK).await;
    shop.system.settled().await.unwrap();
    let told = inbox.of("grace@example.com").iter().filter(|mail| mail.text.contains(BACK)).count();
    assert_eq!(told, 1);
}
