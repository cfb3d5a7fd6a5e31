//! Instances of a service share its partitions.

use futures::future::join_all;
use system_tests::{Shop, eventually};
use testkit::System;

#[tokio::test]
async fn two_instances_of_each_service_share_the_partitions_and_process_each_order_once() {
    let shop = Shop::with(System::builder().instances_of_all(2)).await;
    shop.stock("MUG", 1000).await;
    for service in shop.system.services() {
        eventually(&format!("both instances of {service} hold partitions"), async || {
            let held = join_all([1, 2].map(|number| partitions(&shop, service, number))).await;
            held.iter().all(|held| *held > 0).then_some(())
        })
        .await;
    }
    let orders = join_all((0..100).map(|_| shop.order("MUG", 1, "pm_card_visa"))).await;
    for order in &orders {
        shop.confirmed(&order.id).await;
        shop.notified(&order.id, "order_confirmed").await;
        let rows = shop.notifications(&format!("order_id={}", order.id)).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
    }
    assert_eq!(shop.available("MUG").await, 900);
    shop.system.quiesce().await.unwrap();
}

/// Returns the number of partitions that an instance reports in its health.
async fn partitions(shop: &Shop, service: &str, number: usize) -> u64 {
    let (_, health) = shop.health(service, number, "consuming").await.unwrap_or_default();
    health["checks"]["consumer"]["detail"]["partitions"].as_u64().unwrap_or_default()
}
