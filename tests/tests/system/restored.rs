//! A service's database is put back to an older copy, as after a disk was lost: it is noticed before anything is published,
//! and `SERVICE restored` repairs it (docs/restore.md).

mod notification;
mod payment;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{Shop, eventually, run};
use testkit::System;

const STOPPING: Duration = Duration::from_secs(20);

async fn stop(shop: &Shop, service: &str) {
    assert!(shop.system.service(service).stop(STOPPING).await, "{service} stops");
}

/// Takes a copy of the service's database; the service goes on.
async fn back_up(shop: &Shop, service: &str) {
    stop(shop, service).await;
    shop.system.back_up(service).await.unwrap();
    shop.system.service(service).start().await.unwrap();
}

/// Puts the copy in the place of the database, and starts the service on it.
async fn restore(shop: &Shop, service: &str) {
    stop(shop, service).await;
    shop.system.restore(service).await.unwrap();
    shop.system.service(service).spawn().unwrap();
}

/// Waits until the service says that its database is older than what was published.
async fn is_held(shop: &Shop, service: &str) {
    let said = eventually(&format!("{service} notices that its database is older"), async || {
        let (status, said) = shop.health(service, 1, "ready").await?;
        let history = said["checks"]["history"]["detail"].as_str()?.to_owned();
        (status == StatusCode::SERVICE_UNAVAILABLE && history.contains("restored --dry-run"))
            .then_some(history)
    })
    .await;
    assert!(said.contains(&format!("{service} restored --dry-run")), "{said}");
    assert_eq!(shop.health(service, 1, "consuming").await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
}

/// Repairs the database and starts the service again.
async fn repair(shop: &Shop, service: &str) -> String {
    stop(shop, service).await;
    let lacks = run(shop, service, &["restored", "--dry-run"]).await.unwrap();
    let repaired = run(shop, service, &["restored"]).await.unwrap();
    assert!(repaired.contains("the generation is 1 now"), "{repaired}");
    shop.system.service(service).start().await.unwrap();
    lacks
}

/// The kinds of the messages about an order, each channel by itself.
async fn messages(shop: &Shop, id: &str) -> Vec<String> {
    let rows = shop.notifications(&format!("order_id={id}")).await;
    let mut kinds: Vec<String> = rows.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn orders_database_from_an_older_copy_learns_again_what_was_published_since() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    let kept = shop.order("MUG", 1, "pm_card_visa").await;
    let cancelled = shop.order("MUG", 2, "pm_card_visa").await;
    let forgotten = json!({"email": "eve@example.com", "payment_method": "pm_card_visa",
                           "items": [{"sku": "MUG", "quantity": 1}]});
    let (_, of_forgotten) = shop.try_order(None, &forgotten).await;
    for id in [&kept.id, &cancelled.id, of_forgotten["id"].as_str().unwrap()] {
        shop.confirmed(id).await;
    }
    back_up(&shop, "order").await;

    shop.cancel(&cancelled).await;
    shop.ends(&cancelled.id, ["cancelled", "refunded", "released"]).await;
    let placed = shop.order("MUG", 3, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.erase("order", "eve@example.com").await;
    shop.system.quiesce().await.unwrap();
    let notified = (messages(&shop, &cancelled.id).await, messages(&shop, &placed.id).await);

    restore(&shop, "order").await;
    is_held(&shop, "order").await;
    let refused = shop.try_order(None, &forgotten).await;
    assert_eq!(
        refused.0, 503,
        "nothing is taken on a database that does not know what was promised: {refused:?}"
    );
    let lacks = repair(&shop, "order").await;
    for lacked in
        ["1 order.placed.v1", "1 order.confirmed.v1", "1 order.cancelled.v1", "1 customer.erased.v1"]
    {
        assert!(lacks.contains(lacked), "{lacked} in {lacks}");
    }

    let order = shop.ends(&cancelled.id, ["cancelled", "refunded", "released"]).await;
    assert_eq!(order["reason"], "customer_request");
    shop.confirmed(&placed.id).await;
    shop.confirmed(&kept.id).await;
    shop.system.quiesce().await.unwrap();
    assert!(
        system_tests::tables_with(&shop, "eve@example.com").await.is_empty(),
        "who was erased stays erased"
    );
    assert_eq!(shop.available("MUG").await, 10 - 1 - 1 - 3);
    for (id, charges, refunds) in [(&kept.id, 1, 0), (&cancelled.id, 1, 1), (&placed.id, 1, 0)] {
        let payment = shop.payment(id).await;
        let count = |field: &str| payment[field].as_array().unwrap().len();
        assert_eq!((count("charges"), count("refunds")), (charges, refunds), "{payment}");
    }
    assert_eq!((messages(&shop, &cancelled.id).await, messages(&shop, &placed.id).await), notified);

    // Events of the new generation are newer than all before, whatever their sequence.
    shop.cancel(&kept).await;
    shop.ends(&kept.id, ["cancelled", "refunded", "released"]).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn what_a_customer_cancels_on_an_older_copy_while_kafka_is_away_is_not_captured() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 10).await;
    // Payment and inventory are away, so that the copy has the order as it was placed.
    stop(&shop, "payment").await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;
    back_up(&shop, "order").await;
    shop.system.service("payment").start().await.unwrap();
    shop.confirmed(&placed.id).await;

    let kafka = shop.system.kafka();
    kafka.kill();
    restore(&shop, "order").await;
    eventually("the order is cancelled, without Kafka", async || {
        let cancel = shop.http().post(shop.at("order", &format!("/orders/{}/cancel", placed.id)));
        let answer = cancel.bearer_auth(&placed.cancel_token).send().await.ok()?;
        (answer.status() == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    kafka.start().await.unwrap();
    is_held(&shop, "order").await;
    repair(&shop, "order").await;
    shop.ends(&placed.id, ["cancelled", "refunded", "released"]).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_made_anew_is_not_taken_for_a_new_shop() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    stop(&shop, "notification").await;
    shop.system.back_up("notification").await.unwrap();
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.system.service("notification").start().await.unwrap();
    shop.notified(&placed.id, "order_confirmed").await;
    let restored = run(&shop, "notification", &["restored"]).await.unwrap_err();
    assert!(restored.contains("an instance of notification is running"), "{restored}");

    restore(&shop, "notification").await;
    is_held(&shop, "notification").await;
    repair(&shop, "notification").await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_service_whose_database_goes_back_while_it_runs_ends_and_reads_again_when_nothing_of_its_own_is_lost()
 {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.system.quiesce().await.unwrap();
    // As after a failover to a replica that lagged.
    let back =
        "UPDATE broker.positions SET next_offset = next_offset - 1, last_offset = NULL WHERE next_offset > 0";
    shop.system.in_database("inventory", back).await.unwrap();
    let inventory = shop.system.service("inventory");
    eventually("inventory ends", async || inventory.end()).await;
    assert!(inventory.output().contains("was read up to offset"), "{}", inventory.output());

    inventory.start().await.unwrap();
    assert!(inventory.output().contains("It reads again what it had read"), "{}", inventory.output());
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_service_whose_database_is_replaced_while_it_runs_ends_although_only_its_own_events_are_lost() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    shop.system.quiesce().await.unwrap();
    back_up(&shop, "inventory").await;
    shop.restock("MUG", 20).await;
    shop.system.quiesce().await.unwrap();
    // As after a failover to a replica that lagged: nobody stops the service.
    shop.system.restore("inventory").await.unwrap();
    let inventory = shop.system.service("inventory");
    eventually("inventory ends", async || inventory.end()).await;
    assert!(inventory.output().contains("which the database does not know"), "{}", inventory.output());

    inventory.spawn().unwrap();
    is_held(&shop, "inventory").await;
    repair(&shop, "inventory").await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(product(&shop, "MUG").await["available"], 30);
}

async fn product(shop: &Shop, sku: &str) -> Value {
    let get = shop.http().get(shop.at("inventory", &format!("/products/{sku}")));
    get.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn inventorys_database_from_an_older_copy_has_the_prices_and_the_stock_that_were_set_since() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    let kept = shop.order("MUG", 1, "pm_card_visa").await;
    let cancelled = shop.order("MUG", 2, "pm_card_visa").await;
    for id in [&kept.id, &cancelled.id] {
        shop.confirmed(id).await;
    }
    back_up(&shop, "inventory").await;

    let dearer = json!({"name": "Dearer MUG", "price": {"amount": 1500, "currency": "EUR"}});
    let put = shop.http().put(shop.at("inventory", "/products/MUG")).json(&dearer);
    assert!(shop.operator(put).send().await.unwrap().status().is_success());
    shop.stock("PEN", 4).await;
    shop.restock("MUG", 20).await;
    shop.cancel(&cancelled).await;
    shop.ends(&cancelled.id, ["cancelled", "refunded", "released"]).await;
    let placed = shop.order("MUG", 3, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.system.quiesce().await.unwrap();
    let before = (product(&shop, "MUG").await, product(&shop, "PEN").await);
    assert_eq!(before.0["available"], 10 - 1 + 20 - 3, "{}", before.0);
    let notified = messages(&shop, &placed.id).await;

    restore(&shop, "inventory").await;
    is_held(&shop, "inventory").await;
    repair(&shop, "inventory").await;
    shop.system.quiesce().await.unwrap();
    assert_eq!((product(&shop, "MUG").await, product(&shop, "PEN").await), before);
    for (placed, end) in [
        (&kept, ["confirmed", "captured", "committed"]),
        (&cancelled, ["cancelled", "refunded", "released"]),
        (&placed, ["confirmed", "captured", "committed"]),
    ] {
        shop.ends(&placed.id, end).await;
    }
    assert_eq!(messages(&shop, &placed.id).await, notified);

    // No copy of the catalogue or of the stock is stale, and what changes from now on reaches all of them.
    let cheaper = json!({"name": "Cheaper MUG", "price": {"amount": 1100, "currency": "EUR"}});
    let put = shop.http().put(shop.at("inventory", "/products/MUG")).json(&cheaper);
    assert!(shop.operator(put).send().await.unwrap().status().is_success());
    eventually("an order has the new price", async || {
        let order = shop.order("MUG", 1, "pm_card_visa").await;
        let order = shop.confirmed(&order.id).await;
        (order["total"]["amount"] == 1100).then_some(())
    })
    .await;
    shop.system.quiesce().await.unwrap();
}
