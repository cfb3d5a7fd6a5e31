//! Mails to customers: retries during an outage of the mail server, and the operator's list of messages.

use serde_json::{Value, json};
use system_tests::{At, Inbox, Reaction, Shop, eventually, problem};
use testkit::System;

const ADA: &str = "ada@example.com";

async fn shop_with(inbox: &Inbox) -> Shop {
    let shop = Shop::with(System::builder().env("notification", "SMTP_URL", inbox.url())).await;
    shop.stock("MUG", 10).await;
    shop
}

/// Waits until the mail about an order has at least this number of attempts, and returns its row.
async fn tried(shop: &Shop, id: &str, times: i64) -> Value {
    eventually(&format!("{times} attempts at the mail of order {id}"), async || {
        let rows = shop.notifications(&format!("order_id={id}")).await;
        rows.into_iter().find(|row| row["channel"] == "smtp" && row["attempts"].as_i64() >= Some(times))
    })
    .await
}

async fn restart(shop: &Shop) {
    shop.system.service("notification").kill();
    shop.system.service("notification").start().await.unwrap();
}

/// Checks that one mail about the order was accepted, and that all offers of it have the same `Message-ID`.
async fn came_once(shop: &Shop, inbox: &Inbox, id: &str) {
    let mail = inbox.mail(ADA, id).await;
    eventually("the mail counts as sent", async || {
        let rows = shop.notifications(&format!("order_id={id}")).await;
        (rows.len() == 2 && rows.iter().all(|row| row["status"] == "sent")).then_some(())
    })
    .await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(inbox.of(ADA).len(), 1);
    for offer in inbox.offered(ADA) {
        assert_eq!(offer.header("Message-ID").unwrap(), mail.header("Message-ID").unwrap());
    }
}

#[tokio::test]
async fn while_the_mail_server_is_down_mails_wait_across_a_restart_and_are_sent_once() {
    let inbox = Inbox::closed();
    let shop = shop_with(&inbox).await;
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let row = tried(&shop, &placed.id, 2).await;
    assert_eq!(
        (&row["status"], &row["cause"]),
        (&"pending".into(), &"the mail server cannot be reached".into())
    );
    restart(&shop).await;
    inbox.listen();
    came_once(&shop, &inbox, &placed.id).await;
}

#[tokio::test]
async fn a_temporarily_rejected_mail_is_retried_across_a_restart_and_sent_once() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    inbox.react(Reaction::Reject);
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let row = tried(&shop, &placed.id, 2).await;
    assert_eq!(
        (&row["status"], &row["cause"]),
        (&"pending".into(), &"the mail server refused it: 451 at the end of the mail".into())
    );
    restart(&shop).await;
    inbox.react(Reaction::Accept);
    came_once(&shop, &inbox, &placed.id).await;
    assert!(inbox.offered(ADA).len() > 1);
}

#[tokio::test]
async fn a_mail_without_an_answer_is_retried_after_a_crash_and_sent_once() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    inbox.react(Reaction::Silent);
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    eventually("the server has received the mail", async || inbox.offered(ADA).first().cloned()).await;
    // Orders do not wait for mails.
    shop.confirmed(&placed.id).await;
    restart(&shop).await;
    inbox.react(Reaction::Accept);
    came_once(&shop, &inbox, &placed.id).await;
}

#[tokio::test]
async fn a_late_acceptance_counts() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    inbox.react(Reaction::Late);
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    eventually("the server has received the mail", async || inbox.offered(ADA).first().cloned()).await;
    shop.confirmed(&placed.id).await;
    inbox.react(Reaction::Accept);
    came_once(&shop, &inbox, &placed.id).await;
    assert_eq!(inbox.offered(ADA).len(), 1);
}

#[tokio::test]
async fn a_permanently_rejected_mail_is_not_retried() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    inbox.answer(At::Recipient, "550 no such user");
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let failed = eventually("the mail is given up", async || {
        let rows = shop.notifications(&format!("order_id={}&status=failed", placed.id)).await;
        rows.into_iter().next()
    })
    .await;
    assert_eq!((&failed["channel"], &failed["attempts"]), (&"smtp".into(), &1.into()));
    assert_eq!(failed["cause"], "the mail server refused it: 550 at RCPT TO");
    assert!(failed["sent_at"].is_null(), "{failed}");
    inbox.repair();
    restart(&shop).await;
    let next = shop.order("MUG", 1, "pm_card_visa").await;
    inbox.mail(ADA, &next.id).await;
    shop.system.quiesce().await.unwrap();
    assert_eq!((inbox.of(ADA).len(), inbox.said("RCPT").len()), (1, 2));
}

#[tokio::test]
async fn a_mail_waits_until_its_address_is_known() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    shop.system.quiesce().await.unwrap();
    shop.system.service("notification").kill();
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    // The rewind skips the contacts, so the order arrives without its contact.
    let mut rewind = shop.system.command("notification");
    assert!(rewind.args(["rewind", "customers", "--to", "end"]).status().await.unwrap().success());
    shop.system.service("notification").start().await.unwrap();
    let waiting = eventually("both channels wait", async || {
        let rows = shop.notifications(&format!("order_id={}&status=waiting_for_contact", placed.id)).await;
        (rows.len() == 2).then_some(rows)
    })
    .await;
    assert!(waiting.iter().all(|row| row["recipient"].is_null() && row["sent_at"].is_null()), "{waiting:?}");
    assert_eq!(inbox.offered(ADA).len(), 0);

    let mut republish = shop.system.command("order");
    assert!(republish.args(["republish", "customers"]).status().await.unwrap().success());
    came_once(&shop, &inbox, &placed.id).await;
}

/// An address of 254 characters is longer than most mail programs expect, but only the mail server may reject it.
#[tokio::test]
async fn an_address_of_the_maximum_length_gets_its_mail() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    let email = format!("{}@example.com", "a".repeat(254 - "@example.com".len()));
    let placed = shop.order_of(&email, "MUG", 1, "pm_card_visa").await;
    inbox.mail(&email, &placed.id).await;
}

#[tokio::test]
async fn the_operator_can_filter_messages_and_sees_only_masked_addresses() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    let confirmed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.notified(&confirmed.id, "order_confirmed").await;
    let declined = shop.order("MUG", 1, "pm_card_chargeDeclined").await;
    shop.notified(&declined.id, "order_cancelled").await;
    shop.request_subscription("Grace.Hopper@Example.com", "MUG", 1).await;
    eventually("all six are sent", async || {
        (shop.notifications("status=sent").await.len() == 6).then_some(())
    })
    .await;

    for (query, rows) in [
        (format!("order_id={}", confirmed.id), 2),
        ("kind=order_cancelled".to_owned(), 2),
        (format!("order_id={}&kind=order_confirmed", declined.id), 0),
        ("sku=MUG".to_owned(), 2),
        ("kind=confirm_subscription&status=sent&sku=MUG".to_owned(), 2),
        ("status=failed".to_owned(), 0),
        ("limit=4".to_owned(), 4),
    ] {
        assert_eq!(shop.notifications(&query).await.len(), rows, "{query}");
    }
    let all = shop.notifications("").await;
    let text = json!(all).to_string().to_lowercase();
    assert!(!text.contains(ADA) && !text.contains("grace.hopper"), "{text}");
    for row in &all {
        let masked =
            if row["kind"] == "confirm_subscription" { "g***@example.com" } else { "a***@example.com" };
        assert_eq!(row["recipient"], masked, "{row}");
        for field in ["id", "status", "channel", "subject", "created_at", "sent_at"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {row}");
        }
        assert_eq!(row["attempts"], 1, "{row}");
    }
    for service in shop.system.services() {
        let log = shop.system.service(service).output().to_lowercase();
        assert!(
            !log.contains(ADA) && !log.contains("grace.hopper"),
            "the log of {service} contains an address"
        );
    }
    problem(shop.http().get(shop.at("notification", "/notifications")).send().await.unwrap(), 401).await;
    shop.system.quiesce().await.unwrap();
}
