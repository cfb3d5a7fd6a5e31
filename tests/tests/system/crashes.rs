//! A service is killed with SIGKILL in the middle of its work and restarted.

use futures::future::join_all;
use system_tests::Shop;

/// Places orders before, during and after a crash of `service`, and checks that each is confirmed and announced once.
async fn orders_survive_a_kill_of(service: &str) {
    let shop = Shop::open().await;
    shop.stock("MUG", 1000).await;
    let place = |n: usize| {
        let shop = &shop;
        async move { join_all((0..n).map(|_| shop.order("MUG", 1, "pm_card_visa"))).await }
    };
    // Without waiting, so that the kill falls into the middle of their processing.
    let mut orders = place(40).await;
    shop.system.service(service).kill();
    if service != "order" {
        orders.extend(place(40).await);
    }
    shop.system.service(service).start().await.unwrap();
    orders.extend(place(20).await);

    for order in &orders {
        shop.confirmed(&order.id).await;
        shop.notified(&order.id, "order_confirmed").await;
        let rows = shop.notifications(&format!("order_id={}&kind=order_confirmed", order.id)).await;
        assert_eq!(rows.len(), 1, "one row per channel: {rows:?}");
    }
    assert_eq!(shop.available("MUG").await, 1000 - i64::try_from(orders.len()).unwrap());
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn orders_survive_a_kill_of_order() {
    orders_survive_a_kill_of("order").await;
}

#[tokio::test]
async fn orders_survive_a_kill_of_payment() {
    orders_survive_a_kill_of("payment").await;
}

#[tokio::test]
async fn orders_survive_a_kill_of_inventory() {
    orders_survive_a_kill_of("inventory").await;
}

#[tokio::test]
async fn orders_survive_a_kill_of_notification() {
    orders_survive_a_kill_of("notification").await;
}
