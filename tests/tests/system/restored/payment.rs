//! Payment's database, in which the simulated gateway keeps its books too: nothing is charged twice, and what was charged
//! can be given back.

use system_tests::Shop;

use super::{back_up, is_held, repair, restore};

async fn charges_and_refunds(shop: &Shop, id: &str) -> (usize, usize) {
    let payment = shop.payment(id).await;
    let count = |field: &str| payment[field].as_array().map_or(0, Vec::len);
    (count("charges"), count("refunds"))
}

#[tokio::test]
async fn payments_database_from_an_older_copy_charges_nobody_twice() {
    let shop = Shop::open().await;
    shop.stock("MUG", 20).await;
    let kept = shop.order("MUG", 1, "pm_card_visa").await;
    let cancelled = shop.order("MUG", 1, "pm_card_visa").await;
    for order in [&kept, &cancelled] {
        shop.confirmed(&order.id).await;
    }
    back_up(&shop, "payment").await;

    shop.cancel(&cancelled).await;
    shop.ends(&cancelled.id, ["cancelled", "refunded", "released"]).await;
    let methods = ["pm_card_visa", "pm_flaky", "pm_timeout"];
    let mut placed = Vec::new();
    for method in methods {
        placed.push(shop.order("MUG", 1, method).await);
    }
    for order in &placed {
        shop.confirmed(&order.id).await;
    }
    let declined = shop.order("MUG", 1, "pm_card_chargeDeclined").await;
    shop.ends(&declined.id, ["cancelled", "declined", "released"]).await;
    shop.system.quiesce().await.unwrap();

    restore(&shop, "payment").await;
    is_held(&shop, "payment").await;
    let lacks = repair(&shop, "payment").await;
    for lacked in ["3 payment.captured.v1", "1 payment.declined.v1", "1 payment.refunded.v1"] {
        assert!(lacks.contains(lacked), "{lacked} in {lacks}");
    }
    shop.system.quiesce().await.unwrap();
    for order in placed.iter().chain([&kept]) {
        shop.confirmed(&order.id).await;
        assert_eq!(charges_and_refunds(&shop, &order.id).await, (1, 0));
        assert_eq!(shop.payment(&order.id).await["amount"]["amount"], 1299);
    }
    assert_eq!(charges_and_refunds(&shop, &cancelled.id).await, (1, 1));
    assert_eq!(charges_and_refunds(&shop, &declined.id).await, (0, 0));

    // The restored database refunds charges that the lost one made.
    for order in placed.iter().chain([&kept]) {
        shop.cancel(order).await;
        shop.ends(&order.id, ["cancelled", "refunded", "released"]).await;
        assert_eq!(charges_and_refunds(&shop, &order.id).await, (1, 1));
    }
    shop.system.quiesce().await.unwrap();
}
