//! A service is killed with -9 in the middle of its work and started again.

use futures::future::join_all;
use system_tests::Shop;

/// Orders are taken before, while and after `service` is dead, and each is confirmed and announced once.
async fn orders_survive_the_death_of(service: &str) {
    let shop = Shop::open().await;
    shop.stock("MUG", 1000).await;
    let place = |n: usize| {
        let shop = &shop;
        async move { join_all((0..n).map(|_| shop.order("MUG", 1, "pm_card_visa"))).await }
    };
    // Not waited for: the kill falls into the middle of them.
    let mut orders = place(40).await;
    shop.system.service(service).kill();
    if service != "order" {
        orders.extend(place(40).await);
    }
    shop.system.service(service).start().await.unwrap();
    orders.extend(place(20).await);

    for order in &orders {
        shop.confirmed(&order.id).await;
        shop.told(&order.id, "order_confirmed").await;
        let told = shop.notifications(&format!("order_id={}&kind=order_confirmed", order.id)).await;
        assert_eq!(told.len(), 1, "one row a channel: {told:?}");
    }
    assert_eq!(shop.available("MUG").await, 1000 - i64::try_from(orders.len()).unwrap());
    shop.system.settled().await.unwrap();
}

#[tokio::test]
async fn order_is_killed_and_goes_on() {
    orders_survive_the_death_of("order").await;
}

#[tokio::test]
async fn payment_is_killed_and_goes_on() {
    orders_survive_the_death_of("payment").await;
}

#[tokio::test]
async fn inventory_is_killed_and_goes_on() {
    orders_survive_the_death_of("inventory").await;
}

#[tokio::test]
async fn notification_is_killed_and_goes_on() {
    orders_survive_the_death_of("notification").await;
}
