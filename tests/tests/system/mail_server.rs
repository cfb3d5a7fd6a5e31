//! A mail server that refuses the shop's mails: each is sent once after the repair. A refusal of a recipient is final.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{At, BACK, Inbox, Shop, eventually};
use testkit::System;

const ADA: &str = "ada@example.com";
const ALARM: &str = "mails cannot be handed over";

async fn shop_with(inbox: &Inbox, settings: &[(&str, &str)]) -> Shop {
    let shop = Shop::with_mail(inbox, settings).await;
    shop.stock("MUG", 100).await;
    shop
}

/// Waits until the row of an order's mail meets a condition, and returns it.
async fn mail_of(shop: &Shop, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the mail of order {id} {what}"), async || {
        let rows = shop.notifications(&format!("order_id={id}")).await;
        rows.into_iter().find(|row| row["channel"] == "smtp" && is(row))
    })
    .await
}

async fn tried(shop: &Shop, id: &str, times: i64) -> Value {
    let often = |row: &Value| row["attempts"].as_i64() >= Some(times) && row["cause"].is_string();
    mail_of(shop, id, &format!("was tried {times} times"), often).await
}

async fn is_sent(shop: &Shop, id: &str) -> Value {
    mail_of(shop, id, "is sent", |row| row["status"] == "sent").await
}

fn log_of(shop: &Shop) -> String {
    shop.system.service("notification").output()
}

#[tokio::test]
async fn a_refusal_of_the_sender_raises_one_alarm_and_the_mail_is_sent_after_the_repair() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox, &[]).await;
    for (number, (at, words, cause)) in [
        (At::Sender, "553 5.7.1 <shop@localhost>: not owned by user", "553 5.7.1 at MAIL FROM"),
        (At::Content, "550 5.4.5 Daily sending quota exceeded", "550 5.4.5 at the end of the mail"),
        (At::Greeting, "554 5.7.1 Client host [192.0.2.7] blocked", "554 5.7.1 at the greeting"),
        (At::Hello, "504 5.5.2 <web-1>: need fully-qualified hostname", "504 5.5.2 at EHLO"),
        (At::Recipient, "554 5.7.1 <ada@example.com>: Relay access denied", "554 5.7.1 at RCPT TO"),
    ]
    .into_iter()
    .enumerate()
    {
        inbox.answer(at, words);
        let placed = shop.order("MUG", 1, "pm_card_visa").await;
        let row = tried(&shop, &placed.id, 2).await;
        let expected = format!("the mail server refused it: {cause}");
        assert_eq!((&row["status"], &row["cause"]), (&json!("pending"), &json!(expected)));
        let log = eventually(&format!("an alarm for {words}"), async || {
            Some(log_of(&shop)).filter(|log| log.matches(ALARM).count() == number + 1)
        })
        .await;
        let (_, logged) = log.rsplit_once(ALARM).unwrap();
        let code = words.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert!(logged.contains(&code) && logged.contains("check "), "{logged}");
        inbox.repair();
        inbox.mail(ADA, &placed.id).await;
        is_sent(&shop, &placed.id).await;
    }
    eventually("a message about the end of each outage", async || {
        (log_of(&shop).matches("the mail server accepts mails again").count() == 5).then_some(())
    })
    .await;
    let log = log_of(&shop);
    assert_eq!(log.matches(ALARM).count(), 5, "one alarm per outage: {log}");
    assert!(!log.contains(ADA), "the log contains an address: {log}");
    assert_eq!(inbox.of(ADA).len(), 5);
}

#[tokio::test]
async fn while_the_server_refuses_the_sender_one_mail_probes_and_the_others_wait() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox, &[]).await;
    inbox.answer(At::Sender, "553 5.7.1 not owned by user");
    let first = shop.order("MUG", 1, "pm_card_visa").await;
    tried(&shop, &first.id, 2).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(shop.order("MUG", 1, "pm_card_visa").await);
    }
    shop.confirmed(&others.last().unwrap().id).await;
    let before = inbox.said("MAIL").len();
    let probes = eventually("three more probes", async || {
        Some(inbox.said("MAIL").len() - before).filter(|probes| *probes >= 3)
    })
    .await;
    assert!(probes <= 4, "more than one mail probes: {probes}");
    inbox.repair();
    for order in &others {
        is_sent(&shop, &order.id).await;
    }
    assert_eq!(inbox.of(ADA).len(), 21);
}

#[tokio::test]
async fn subscribers_keep_their_positions_while_the_server_refuses_the_sender() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["grace", "hedy"], "PEN").await;
    inbox.answer(At::Sender, "553 5.7.1 <shop@localhost>: not owned by user");
    shop.restock("PEN", 5).await;
    shop.refused("PEN", 2).await;
    shop.reports("PEN", &json!({"waiting": 2, "notified": 0})).await;
    inbox.repair();
    inbox.receives(2).await;
    shop.reports("PEN", &json!({"waiting": 0, "notified": 2})).await;
    assert_eq!(inbox.notified_names(), ["grace", "hedy"]);
}

#[tokio::test]
async fn a_mail_to_a_slow_server_is_sent_once() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox, &[]).await;
    // Six answers take longer than a claim lasts without renewal.
    inbox.delay(Duration::from_millis(5500));
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let row = is_sent(&shop, &placed.id).await;
    assert_eq!(row["attempts"], 1, "{row}");
    shop.system.quiesce().await.unwrap();
    assert_eq!((inbox.of(ADA).len(), inbox.said("MAIL").len()), (1, 1));
}

#[tokio::test]
async fn domains_are_sent_in_ascii_and_ehlo_uses_the_configured_name() {
    let inbox = Inbox::open();
    let settings =
        [("MAIL_FROM", "Bücher <shop@bücher.example>"), ("SMTP_HELLO_NAME", "mail.bücher.example")];
    let shop = shop_with(&inbox, &settings).await;
    let placed = shop.order_of("pat@bücher.example", "MUG", 1, "pm_card_visa").await.id;
    let mail = inbox.mail("pat@xn--bcher-kva.example", &placed).await;
    assert_eq!(inbox.said("EHLO")[0], "EHLO mail.xn--bcher-kva.example");
    assert!(inbox.said("MAIL")[0].starts_with("MAIL FROM:<shop@xn--bcher-kva.example>"));
    for (header, value) in [
        ("From", "<shop@xn--bcher-kva.example>"),
        ("To", "pat@xn--bcher-kva.example"),
        ("Message-ID", "@xn--bcher-kva.example>"),
    ] {
        assert!(mail.header(header).unwrap().ends_with(value), "{mail:?}");
    }
}

#[tokio::test]
async fn an_address_that_needs_smtputf8_gets_mail_only_where_the_server_supports_it() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox, &[]).await;
    let placed = shop.order_of("pät@example.com", "MUG", 1, "pm_card_visa").await.id;
    let row = mail_of(&shop, &placed, "is given up", |row| row["status"] == "failed").await;
    assert!(row["attempts"] == 1 && row["cause"].as_str().unwrap().contains("SMTPUTF8"), "{row}");
    let log = log_of(&shop);
    assert!(!log.contains(ALARM), "no outage: {log}");
    inbox.announce_utf8();
    // Closes the open connection, on which SMTPUTF8 was not announced.
    inbox.answer(At::Greeting, "421 4.3.2 restarting");
    let other = shop.order_of("ada@example.com", "MUG", 1, "pm_card_visa").await.id;
    tried(&shop, &other, 1).await;
    inbox.repair();
    let placed = shop.order_of("zoë@example.com", "MUG", 1, "pm_card_visa").await.id;
    inbox.mail("zoë@example.com", &placed).await;
}

#[tokio::test]
async fn a_missing_starttls_that_the_settings_require_is_named() {
    let inbox = Inbox::open();
    let url = format!("{}?tls=required", inbox.url());
    let shop = Shop::with(System::builder().env("notification", "SMTP_URL", url)).await;
    shop.stock("MUG", 1).await;
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let row = tried(&shop, &placed.id, 2).await;
    let cause = "the mail server offers no STARTTLS, which tls=required in SMTP_URL demands";
    assert_eq!((&row["status"], &row["cause"]), (&json!("pending"), &json!(cause)));
    let log = log_of(&shop);
    assert!(log.contains("offers no STARTTLS") && !log.contains("cannot be reached"), "{log}");
}

/// Sends `POST /notifications/resend` and returns the answer.
async fn resend(shop: &Shop, body: &Value) -> Value {
    let post = shop.http().post(shop.at("notification", "/notifications/resend")).json(body);
    let answer = shop.operator(post).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{body}");
    answer.json().await.unwrap()
}

async fn run(shop: &Shop, arguments: &[&str]) -> String {
    let output = shop.system.command("notification").arg("resend").args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn failed_messages_are_resent_by_filter_after_a_dry_run() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox, &[]).await;
    inbox.answer(At::Recipient, "550 5.1.1 <ada@example.com>: User unknown");
    let (first, second) = (
        shop.order_of(ADA, "MUG", 1, "pm_card_visa").await.id,
        shop.order_of("eve@example.com", "MUG", 1, "pm_card_visa").await.id,
    );
    let row = mail_of(&shop, &first, "is given up", |row| row["status"] == "failed").await;
    let cause = "the mail server refused it: 550 5.1.1 at RCPT TO";
    assert_eq!((&row["attempts"], &row["cause"]), (&json!(1), &json!(cause)));
    mail_of(&shop, &second, "is given up", |row| row["status"] == "failed").await;
    inbox.repair();

    let id = row["id"].as_str().unwrap();
    let said = run(&shop, &["--dry-run", "--order-id", &first, "--cause", "5.1.1", "--since", "1h"]).await;
    let line = format!("{id} order_confirmed smtp a***@example.com sent again ({cause})\n");
    assert!(said.starts_with(&line), "{said}");
    assert!(said.ends_with("1 message would be sent again, 0 left; nothing was changed\n"), "{said}");
    let all = resend(&shop, &json!({"dry_run": true})).await;
    assert_eq!((&all["armed"], &all["left"], &all["next"]), (&json!(2), &json!(0), &Value::Null));
    for other in [
        json!({"kind": "order_cancelled"}),
        json!({"channel": "log"}),
        json!({"cause": "relay"}),
        json!({"sku": "MUG"}),
        json!({"since": "2099-01-01T00:00:00Z"}),
    ] {
        assert_eq!(resend(&shop, &other).await["armed"], 0, "{other}");
    }
    assert_eq!(shop.notifications("status=failed").await.len(), 2, "nothing was changed");

    shop.erase("notification", "eve@example.com").await;
    let said = run(&shop, &[]).await;
    assert!(said.contains("left: the recipient asked to be forgotten"), "{said}");
    assert!(said.ends_with("1 message to be sent again by a running notification, 1 left\n"), "{said}");
    inbox.mail(ADA, &first).await;
    is_sent(&shop, &first).await;
    assert_eq!(resend(&shop, &json!({"order_id": first})).await["armed"], 0, "a sent message is not resent");
    shop.system.quiesce().await.unwrap();
    assert_eq!((inbox.of(ADA).len(), inbox.of("eve@example.com").len()), (1, 0));
    assert_eq!(history(&shop, id).await, ["notification.failed.v1 1", "notification.sent.v1 2"]);

    // The row has forgotten why it failed first.
    let republish = ["republish", "notifications", "--key", id];
    let said = system_tests::run(&shop, "notification", &republish).await.unwrap();
    let line = format!("notifications {id}: 1 cannot be rebuilt, 2 notification.sent.v1\n");
    assert!(said.starts_with(&line), "{said}");
    shop.system.quiesce().await.unwrap();
    assert_eq!(history(&shop, id).await[2..], ["notification.sent.v1 2"]);
}

/// Returns the types and sequences of the events of a delivery.
async fn history(shop: &Shop, id: &str) -> Vec<String> {
    let records = testkit::topics::read(shop.system.brokers(), shop.system.topic_prefix()).await.unwrap();
    let of_it = records.iter().filter(|record| record.key == id.as_bytes());
    of_it
        .map(|record| {
            let headers = String::from_utf8_lossy(&record.headers);
            let header = |name: &str| {
                let line = headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                line.unwrap_or_default().to_owned()
            };
            format!("{} {}", header("ce_type"), header("ce_sequence").trim_start_matches('0'))
        })
        .collect()
}

#[tokio::test]
async fn resend_puts_a_subscriber_whose_mail_failed_back_in_line() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["grace", "hedy"], "PEN").await;
    inbox.answer(At::Recipient, "550 5.1.1 User unknown");
    shop.restock("PEN", 5).await;
    shop.reports("PEN", &json!({"waiting": 0, "notified": 0})).await;
    inbox.repair();
    // Hedy subscribes again meanwhile.
    shop.request_subscription("hedy@example.com", "PEN", 1).await;
    let asked = eventually("a second confirmation request", async || {
        let mails = inbox.of("hedy@example.com").into_iter();
        mails.filter(|mail| mail.text.contains("/subscriptions/confirm")).nth(1)
    })
    .await;
    assert_eq!(shop.click(&asked.link("/subscriptions/confirm")).await, StatusCode::OK);
    let dry = resend(&shop, &json!({"kind": "back_in_stock", "dry_run": true})).await;
    let outcomes = |answer: &Value| {
        let rows = answer["items"].as_array().unwrap();
        rows.iter().map(|row| format!("{} {}", row["recipient"], row["outcome"])).collect::<Vec<_>>()
    };
    let expected = [r#""g***@example.com" "back_in_line""#, r#""h***@example.com" "not_waiting""#];
    assert_eq!(outcomes(&dry), expected);
    assert_eq!(outcomes(&resend(&shop, &json!({"sku": "PEN"})).await), expected);
    inbox.mail("grace@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["grace", "hedy"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 2})).await;
}
