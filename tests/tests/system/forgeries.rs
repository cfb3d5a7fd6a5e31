//! Forged events: a client with write access to Kafka can publish them, but the services reject them.

use serde_json::json;
use system_tests::{Forged, Shop, eventually, run};
use testkit::System;

#[tokio::test]
async fn an_event_whose_source_does_not_own_the_topic_is_a_dead_letter_and_changes_nothing() {
    let shop = Shop::with(System::builder().not_started("payment")).await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    shop.ends(&placed.id, ["placed", "pending", "reserved"]).await;
    let authorized =
        json!({"order_id": placed.id, "amount": {"amount": 1299, "currency": "EUR"}}).to_string();
    for source in ["/inventory", "payment", "/payment/", ""] {
        let forged = Forged::new("payments", &placed.id, source, "payment.authorized.v1");
        shop.publish(&forged.with_value(&authorized)).await;
    }
    for service in ["order", "notification"] {
        let redrive = async |arguments: &[&str]| {
            let arguments = [&["redrive", "--topic", "payments"], arguments].concat();
            run(&shop, service, &arguments).await.unwrap()
        };
        let found = eventually("all four are dead letters", async || {
            let said = redrive(&["--dry-run"]).await;
            said.ends_with("4 dead letters; nothing was changed\n").then_some(said)
        })
        .await;
        assert_eq!(found.matches("header ce_source is not /payment").count(), 4, "{found}");
        assert!(redrive(&[]).await.ends_with("4 dead letters handled, 4 still dead\n"));
        assert!(redrive(&["--discard"]).await.ends_with("4 dead letters discarded\n"));
    }
    shop.ends(&placed.id, ["placed", "pending", "reserved"]).await;

    // Events of the owner are applied, and recognized as duplicates after a rewind.
    shop.system.service("payment").start().await.unwrap();
    let before = shop.confirmed(&placed.id).await;
    run(&shop, "order", &["rewind", "payments", "--to", "beginning"]).await.unwrap();
    shop.system.quiesce().await.unwrap();
    assert_eq!(shop.get(&placed.id).await, before);
}

#[tokio::test]
async fn a_forged_event_on_the_owners_topic_is_not_mistaken_for_one_that_the_owners_database_lost() {
    let shop = Shop::open().await;
    // The other services answer an order that the order service does not know.
    shop.system.leave_queues();
    let id = "01920000-0000-7000-8000-00000000abcd";
    let item =
        json!({"sku": "MUG", "name": "Mug", "quantity": 1, "unit_price": {"amount": 100, "currency": "EUR"}});
    let placed = json!({"order_id": id, "customer_id": id, "items": [item], "payment_method": "pm_card_visa",
                        "total": {"amount": 100, "currency": "EUR"}, "notify_me": false,
                        "placed_at": "2026-11-25T08:00:00Z"});
    let forged = Forged::new("orders", id, "/order", "order.placed.v1").with_value(placed.to_string());
    shop.publish(&forged).await;

    let order = shop.system.service("order");
    order.kill();
    order.start().await.unwrap();
    let (_, health) = shop.health("order", 1, "ready").await.unwrap();
    assert_eq!(health["checks"]["history"]["ok"], true, "{health}");
    shop.stock("PEN", 1).await;
    let placed = shop.order("PEN", 1, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    let lacks = run(&shop, "order", &["restored", "--dry-run"]).await.unwrap();
    assert!(lacks.contains("the database lacked 0") && lacks.contains("1 records left out"), "{lacks}");
}
