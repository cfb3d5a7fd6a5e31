//! Repairs by an operator when a log has lost records, or a service has skipped some: the owner publishes them again
//! (`republish`), and the service that waits finds its answers (`reconcile`).

use std::collections::BTreeMap;

use system_tests::{Shop, eventually, run};

/// The output of a command, and whether it succeeded.
async fn said(shop: &Shop, service: &str, arguments: &[&str]) -> (bool, String) {
    let output = shop.system.command(service).args(arguments).output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// Has `service` skip everything that `topic` holds once it holds something.
async fn skips(shop: &Shop, service: &str, topic: &str) {
    eventually(&format!("{topic} holds what {service} is to skip"), async || {
        let rewound = run(shop, service, &["rewind", topic, "--to", "end"]).await.unwrap();
        rewound.lines().any(|line| !line.ends_with(" -> 0")).then_some(())
    })
    .await;
}

/// Every record of `topic`: its key, its sequence and its type with its content, and how often it is there.
async fn records(shop: &Shop, topic: &str) -> BTreeMap<(String, String, String), usize> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let topic = shop.system.topic(topic);
    let mut records = BTreeMap::new();
    for record in testkit::topics::read(shop.system.brokers(), shop.system.topic_prefix()).await.unwrap() {
        if record.topic != topic {
            continue;
        }
        let headers = text(&record.headers);
        let header =
            |name: &str| headers.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let content = format!("{} {}", header("ce_type: "), text(&record.value));
        *records.entry((text(&record.key), header("ce_sequence: "), content)).or_default() += 1;
    }
    records
}

#[tokio::test]
async fn an_order_that_payment_never_saw_is_published_again_by_its_owner() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    shop.system.service("payment").kill();
    let order = shop.order("MUG", 2, "pm_card_visa").await;
    skips(&shop, "payment", "orders").await;
    shop.system.service("payment").start().await.unwrap();
    shop.ends(&order.id, ["placed", "pending", "reserved"]).await;

    let (succeeded, found) = said(&shop, "order", &["reconcile", "--dry-run", "--older-than", "0s"]).await;
    assert!(!succeeded, "something is left");
    for expected in [
        format!("{} waits for payments since ", order.id),
        format!("payment republish payments --key {}", order.id),
        format!("order republish orders --key {}", order.id),
    ] {
        assert!(found.contains(&expected), "{expected} in {found}");
    }

    let before = records(&shop, "orders").await;
    let dry = run(&shop, "order", &["republish", "orders", "--unfinished", "--dry-run"]).await.unwrap();
    assert!(dry.starts_with(&format!("orders {}: 1 order.placed.v1\n", order.id)), "{dry}");
    assert!(dry.ends_with("orders: 1 key; nothing was changed\n"), "{dry}");
    assert_eq!(records(&shop, "orders").await, before);
    let appended = run(&shop, "order", &["republish", "orders", "--unfinished"]).await.unwrap();
    assert!(appended.ends_with("orders: 1 key appended; a running order publishes them\n"), "{appended}");

    let confirmed = shop.confirmed(&order.id).await;
    shop.notified(&order.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(shop.payment(&order.id).await["charges"].as_array().unwrap().len(), 1);
    assert_eq!(shop.available("MUG").await, 3, "inventory ignored the repetition");
    assert_eq!(shop.notifications(&format!("order_id={}", order.id)).await.len(), 1);
    assert_eq!(shop.get(&order.id).await, confirmed);
    let rest = run(&shop, "order", &["reconcile", "--older-than", "0s"]).await.unwrap();
    assert_eq!(rest, "nothing has waited for 0s\n");
}

#[tokio::test]
async fn an_answer_that_order_skipped_is_found_and_applied() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    shop.system.service("payment").kill();
    let order = shop.order("MUG", 2, "pm_card_visa").await;
    shop.ends(&order.id, ["placed", "pending", "reserved"]).await;
    shop.system.service("order").kill();
    shop.system.service("payment").start().await.unwrap();
    skips(&shop, "order", "payments").await;
    shop.system.service("order").start().await.unwrap();
    shop.ends(&order.id, ["placed", "pending", "reserved"]).await;

    let (succeeded, found) = said(&shop, "order", &["reconcile", "--dry-run", "--older-than", "0s"]).await;
    assert!(!succeeded, "something is left");
    assert!(found.contains("@0 payment.authorized.v1, not applied"), "{found}");
    assert_eq!(shop.get(&order.id).await["status"], "placed", "a dry run changes nothing");
    let applied = run(&shop, "order", &["reconcile", "--older-than", "0s"]).await.unwrap();
    assert!(applied.contains("@0 payment.authorized.v1, applied now\n"), "{applied}");
    assert!(applied.ends_with("1 waited, 0 still do\n"), "{applied}");

    shop.confirmed(&order.id).await;
    shop.notified(&order.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(shop.payment(&order.id).await["charges"].as_array().unwrap().len(), 1);
    assert_eq!(shop.available("MUG").await, 3);
}

#[tokio::test]
async fn a_contact_that_notification_skipped_is_found_and_its_customer_gets_the_message() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    shop.system.service("notification").kill();
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    skips(&shop, "notification", "customers").await;
    shop.system.service("notification").start().await.unwrap();
    eventually("the message waits for its contact", async || {
        let rows = shop.notifications(&format!("order_id={}", order.id)).await;
        rows.iter().any(|row| row["status"] == "waiting_for_contact").then_some(())
    })
    .await;

    let found = run(&shop, "notification", &["reconcile", "--older-than", "0s"]).await.unwrap();
    assert!(found.contains("@0 customer.registered.v1, applied now\n"), "{found}");
    shop.notified(&order.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn what_is_published_again_is_what_was_published_and_readers_ignore_it() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let bought = shop.order("MUG", 2, "pm_card_visa").await;
    shop.confirmed(&bought.id).await;
    let declined = shop.order("MUG", 1, "pm_card_chargeDeclinedInsufficientFunds").await;
    shop.ends(&declined.id, ["cancelled", "declined", "released"]).await;
    let sold_out = shop.order("MUG", 100, "pm_card_visa").await;
    shop.ends(&sold_out.id, ["cancelled", "voided", "rejected"]).await;
    let cancelled = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&cancelled.id).await;
    let cancel = shop.http().post(shop.at("order", &format!("/orders/{}/cancel", cancelled.id)));
    assert_eq!(cancel.bearer_auth(&cancelled.cancel_token).send().await.unwrap().status(), 202);
    shop.ends(&cancelled.id, ["cancelled", "refunded", "released"]).await;
    shop.notified(&cancelled.id, "order_refunded").await;
    shop.system.quiesce().await.unwrap();

    let ids = [&bought.id, &declined.id, &sold_out.id, &cancelled.id];
    let mut orders = Vec::new();
    for id in ids {
        orders.push(shop.get(id).await);
    }
    for (service, topic, keys) in [
        ("order", "orders", 4),
        ("payment", "payments", 4),
        ("inventory", "reservations", 4),
        ("notification", "notifications", 6),
    ] {
        let before = records(&shop, topic).await;
        assert!(before.values().all(|times| *times == 1), "{before:?}");
        let appended = run(&shop, service, &["republish", topic, "--since", "1h"]).await.unwrap();
        assert!(appended.contains(&format!("{topic}: {keys} keys appended")), "{appended}");
        let twice = before.into_keys().map(|record| (record, 2)).collect::<BTreeMap<_, _>>();
        shop.system.quiesce().await.unwrap();
        assert_eq!(records(&shop, topic).await, twice);
    }
    for (id, before) in ids.into_iter().zip(orders) {
        assert_eq!(shop.get(id).await, before);
    }
    assert_eq!(shop.available("MUG").await, 3);
    for (id, messages) in [(&bought.id, 1), (&declined.id, 1), (&sold_out.id, 1), (&cancelled.id, 3)] {
        assert_eq!(shop.notifications(&format!("order_id={id}")).await.len(), messages, "{id}");
    }
}

#[tokio::test]
async fn what_readers_may_have_forgotten_is_published_again_only_by_its_key() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    shop.notified(&order.id, "order_confirmed").await;
    let long_ago = "UPDATE orders SET history = (
        SELECT jsonb_agg(jsonb_set(entry, '{at}', '\"2020-01-01T00:00:00Z\"')) FROM jsonb_array_elements(history) AS entry)";
    shop.system.in_database("order", long_ago).await.unwrap();

    let since = run(&shop, "order", &["republish", "orders", "--since", "1h"]).await.unwrap();
    assert!(
        since.contains(
            "nothing, because its last event of 2020-01-01T00:00:00Z is older than TOPIC_RETENTION"
        ),
        "{since}"
    );
    assert!(since.ends_with("orders: nothing to publish\n"), "{since}");
    let by_key = run(&shop, "order", &["republish", "orders", "--key", &order.id]).await.unwrap();
    assert!(by_key.contains("1 order.placed.v1, 2 order.confirmed.v1\norders: 1 key appended"), "{by_key}");
    shop.system.quiesce().await.unwrap();
    assert_eq!(shop.notifications(&format!("order_id={}", order.id)).await.len(), 1);
}

#[tokio::test]
async fn what_a_row_cannot_tell_is_named() {
    let shop = Shop::open().await;
    shop.stock("MUG", 1).await;
    let order = shop.order("MUG", 100, "pm_card_visa").await;
    shop.ends(&order.id, ["cancelled", "voided", "rejected"]).await;
    shop.notified(&order.id, "order_cancelled").await;
    // As an earlier version wrote it.
    shop.system.in_database("inventory", "UPDATE reservations SET short = NULL").await.unwrap();
    let said = run(&shop, "inventory", &["republish", "reservations", "--key", &order.id]).await.unwrap();
    assert!(
        said.starts_with(&format!(
            "reservations {}: 1 cannot be rebuilt\n1 of the events cannot be",
            order.id
        )),
        "{said}"
    );
    assert!(said.ends_with("reservations: nothing to publish\n"), "{said}");
    shop.system.quiesce().await.unwrap();
}
