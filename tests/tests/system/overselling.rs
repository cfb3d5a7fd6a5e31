//! A product in high demand is not oversold.

use futures::{StreamExt, stream};
use system_tests::{Shop, eventually};

#[tokio::test]
async fn of_500_concurrent_orders_for_50_units_exactly_50_are_confirmed() {
    let shop = Shop::open().await;
    shop.stock("HOT", 50).await;
    let orders: Vec<_> = stream::iter(0..500)
        .map(|_| shop.order("HOT", 1, "pm_card_visa"))
        .buffer_unordered(100)
        .collect()
        .await;

    let (mut confirmed, mut sold_out) = (0, 0);
    for order in &orders {
        let ended = eventually(&format!("order {} is decided", order.id), async || {
            let order = shop.get(&order.id).await;
            let at_rest = ["captured", "voided"].iter().any(|payment| order["payment"] == *payment);
            at_rest.then_some(order)
        })
        .await;
        match (ended["status"].as_str(), ended["reason"].as_str()) {
            (Some("confirmed"), None) => confirmed += 1,
            (Some("cancelled"), Some("out_of_stock")) => sold_out += 1,
            other => panic!("{other:?}: {ended}"),
        }
    }
    assert_eq!((confirmed, sold_out), (50, 450));
    assert_eq!(shop.available("HOT").await, 0);
    shop.system.quiesce().await.unwrap();
}
