//! Outages of Kafka and of Postgres.

use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::{Shop, eventually};
use testkit::System;

#[tokio::test]
async fn orders_are_accepted_while_kafka_is_down() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 100).await;
    shop.system.kafka().kill();
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(shop.order("MUG", 1, "pm_card_visa").await);
    }
    assert_eq!(shop.get(&orders[0].id).await["status"], "placed");
    let (status, _) = shop.health("order", 1, "ready").await.unwrap();
    assert_eq!(status, 200, "the service can still take orders");

    shop.system.kafka().start().await.unwrap();
    for order in &orders {
        shop.confirmed(&order.id).await;
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn without_postgres_orders_are_refused_within_three_seconds_and_accepted_afterwards() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 100).await;
    let before = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&before.id).await;
    shop.system.postgres().kill();

    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let started = Instant::now();
    let order = format!("{}/orders", shop.system.url("order"));
    let answer = shop.http().post(order).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

    shop.system.postgres().start().await.unwrap();
    let after = eventually("an order is accepted again", async || {
        let (status, order) = shop.try_order(None, &body).await;
        (status == 202).then_some(order)
    })
    .await;
    shop.confirmed(after["id"].as_str().unwrap()).await;
    shop.confirmed(&before.id).await;
    shop.system.quiesce().await.unwrap();
}
