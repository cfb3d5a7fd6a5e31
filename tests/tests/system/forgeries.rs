//! Forged events: a client with write access to Kafka can publish them, but the services reject them.

use serde_json::json;
use stack::System;
use system_tests::{Forged, Shop, eventually, run};

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
    shop.system.settled().await.unwrap();
    assert_eq!(shop.get(&placed.id).await, before);
}
