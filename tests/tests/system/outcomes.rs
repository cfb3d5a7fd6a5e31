//! The outcomes of an order.

use system_tests::Shop;

#[tokio::test]
async fn a_paid_order_in_stock_is_confirmed_and_announced() {
    let shop = Shop::open().await;
    shop.stock("MUG", 3).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;

    let order = shop.confirmed(&placed.id).await;
    assert_eq!(order["total"]["amount"], 2598);
    let history: Vec<_> =
        order["history"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect();
    for event in ["order.placed.v1", "payment.authorized.v1", "stock.reserved.v1", "order.confirmed.v1"] {
        assert!(history.contains(&event.into()), "{event} in {history:?}");
    }
    assert_eq!(shop.available("MUG").await, 1);

    let notified = shop.notified(&placed.id, "order_confirmed").await;
    assert_eq!(notified["recipient"], "a***@example.com");
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_declined_payment_cancels_the_order_and_releases_its_stock() {
    let shop = Shop::open().await;
    shop.stock("MUG", 3).await;
    let placed = shop.order("MUG", 2, "pm_card_chargeDeclined").await;

    let order = shop.ends(&placed.id, ["cancelled", "declined", "released"]).await;
    assert_eq!(order["reason"], "payment_declined");
    assert_eq!(shop.available("MUG").await, 3);
    shop.notified(&placed.id, "order_cancelled").await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_sold_out_order_is_cancelled_and_its_payment_voided() {
    let shop = Shop::open().await;
    shop.stock("MUG", 1).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;

    let order = shop.ends(&placed.id, ["cancelled", "voided", "rejected"]).await;
    assert_eq!(order["reason"], "out_of_stock");
    assert_eq!(shop.available("MUG").await, 1);
    shop.notified(&placed.id, "order_cancelled").await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_order_refused_by_payment_and_inventory_is_out_of_stock() {
    let shop = Shop::open().await;
    shop.stock("MUG", 0).await;
    let placed = shop.order("MUG", 1, "pm_card_chargeDeclinedInsufficientFunds").await;

    let order = shop.ends(&placed.id, ["cancelled", "declined", "rejected"]).await;
    assert_eq!(order["reason"], "out_of_stock");
    shop.notified(&placed.id, "order_cancelled").await;
    shop.system.quiesce().await.unwrap();
}
