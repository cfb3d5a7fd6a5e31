//! A fan-out that is killed, shared by instances, or triggered twice: each subscriber gets one row per restock and
//! channel, and only mails in flight at a crash are sent twice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use system_tests::{Inbox, Shop, mailing};
use testkit::System;

const SUBSCRIBERS: usize = 90;
/// The maximum number of mails in flight per instance, which may be sent twice after a crash.
const IN_FLIGHT: usize = 8;
const SETTINGS: [(&str, &str); 2] = [("WAVE_FACTOR", "1000"), ("WAVE_INTERVAL", "1h")];

async fn queue(shop: &Shop, inbox: &Inbox) {
    shop.stock("PEN", 0).await;
    shop.subscribe(inbox, "subscriber-0@example.com", "PEN", 1).await;
    let others: Vec<String> =
        (1..SUBSCRIBERS).map(|number| format!("subscriber-{number}@example.com")).collect();
    join_all(others.iter().map(|email| shop.subscribe(inbox, email, "PEN", 1))).await;
    shop.reports("PEN", &json!({"waiting": SUBSCRIBERS})).await;
    // Slows the fan-out, so that the kill falls into the middle of it.
    inbox.slow(Duration::from_millis(20));
}

/// Checks that every subscriber has one row per channel and one mail; at most `repeated` mails came twice, with the
/// same `Message-ID`.
async fn all_are_notified_once(shop: &Shop, inbox: &Inbox, repeated: usize) {
    shop.reports("PEN", &json!({"waiting": 0, "notified": SUBSCRIBERS})).await;
    shop.system.quiesce().await.unwrap();
    let rows = shop.notifications("sku=PEN&kind=back_in_stock&limit=200").await;
    let sent = |channel: &str| {
        let of_it = |row: &&Value| row["channel"] == channel && row["status"] == "sent";
        rows.iter().filter(of_it).count()
    };
    assert_eq!((rows.len(), sent("log"), sent("smtp")), (2 * SUBSCRIBERS, SUBSCRIBERS, SUBSCRIBERS));
    let mut mails = BTreeMap::<String, Vec<String>>::new();
    for mail in inbox.back_in_stock() {
        let id = mail.header("Message-ID").unwrap().to_owned();
        mails.entry(mail.to).or_default().push(id);
    }
    assert_eq!(mails.len(), SUBSCRIBERS);
    let twice: usize = mails.values().map(|ids| ids.len() - 1).sum();
    assert!(twice <= repeated, "{twice} mails were sent twice, but at most {repeated} were in flight");
    for ids in mails.values() {
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_fan_out_skips_no_subscriber_and_creates_no_second_row() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    queue(&shop, &inbox).await;
    shop.restock("PEN", 5).await;
    for notified in [1, 25, 60] {
        inbox.receives(notified).await;
        shop.system.service("notification").kill();
        shop.system.service("notification").start().await.unwrap();
    }
    all_are_notified_once(&shop, &inbox, 3 * IN_FLIGHT).await;
}

#[tokio::test]
async fn kills_right_after_a_restock_leave_every_subscriber_notified_once() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &SETTINGS).await;
    queue(&shop, &inbox).await;
    shop.restock("PEN", 5).await;
    for pause in [0, 30, 60, 120, 240] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        shop.system.service("notification").kill();
        shop.system.service("notification").spawn().unwrap();
    }
    shop.system.service("notification").wait_ready().await.unwrap();
    all_are_notified_once(&shop, &inbox, 5 * IN_FLIGHT).await;
}

#[tokio::test]
async fn two_instances_share_a_fan_out_and_one_takes_over_when_the_other_is_killed() {
    let inbox = Inbox::open();
    let two = mailing(System::builder().instances("notification", 2), &inbox, &SETTINGS);
    let shop = Shop::with(two).await;
    queue(&shop, &inbox).await;
    shop.restock("PEN", 5).await;
    inbox.receives(30).await;
    shop.system.instance("notification", 2).kill();
    inbox.receives(SUBSCRIBERS).await;
    shop.system.instance("notification", 2).start().await.unwrap();
    all_are_notified_once(&shop, &inbox, IN_FLIGHT).await;
}

/// Runs a command of a service, which must succeed.
async fn run(shop: &Shop, service: &str, arguments: &[&str]) {
    let output = shop.system.command(service).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{service} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_restock_that_is_retried_rewound_or_republished_notifies_no_subscriber_twice() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b", "c"], "PEN").await;
    let restock = async || {
        let url = format!("{}/products/PEN/restock", shop.system.url("inventory"));
        let post =
            shop.http().post(url).header("Idempotency-Key", "delivery-note-7").json(&json!({"quantity": 2}));
        shop.operator(post).send().await.unwrap().error_for_status().unwrap();
    };
    restock().await;
    inbox.receives(2).await;
    restock().await;
    run(&shop, "notification", &["rewind", "stock", "--to", "beginning"]).await;
    shop.system.service("notification").stop(Duration::from_secs(20)).await;
    run(&shop, "notification", &["rewind", "stock", "--to", "beginning"]).await;
    run(&shop, "notification", &["rewind", "orders", "--to", "beginning"]).await;
    shop.system.service("notification").start().await.unwrap();
    run(&shop, "inventory", &["republish", "stock"]).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b"]);
    assert_eq!(shop.mails_about("PEN").await.len(), 2);
    shop.reports("PEN", &json!({"waiting": 1, "notified": 2})).await;
}
