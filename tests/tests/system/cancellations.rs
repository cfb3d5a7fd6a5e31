//! Orders that expire, and orders that their customer cancels.

use serde_json::Value;
use system_tests::{Shop, eventually, problem};
use testkit::System;

/// Cancels an order with a token that may be wrong.
async fn try_cancel(shop: &Shop, id: &str, token: Option<&str>) -> reqwest::Response {
    let request = shop.http().post(shop.at("order", &format!("/orders/{id}/cancel")));
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    request.send().await.unwrap()
}

/// Returns how often the order's history contains an event type.
fn count(order: &Value, kind: &str) -> usize {
    order["history"].as_array().unwrap().iter().filter(|entry| entry["type"] == kind).count()
}

#[tokio::test]
async fn an_order_without_an_answer_of_payment_expires_and_is_voided_when_payment_is_back() {
    let builder = System::builder().env("order", "ORDER_EXPIRES_AFTER", "2s").not_started("payment");
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;
    let order = shop.ends(&placed.id, ["cancelled", "pending", "released"]).await;
    assert_eq!(order["reason"], "expired");
    assert_eq!(shop.available("MUG").await, 5);

    let rejected = shop.order("MUG", 6, "pm_card_visa").await;
    let order = shop.ends(&rejected.id, ["cancelled", "pending", "rejected"]).await;
    assert_eq!(order["reason"], "out_of_stock", "the rejection that arrived is the reason");

    shop.system.service("payment").start().await.unwrap();
    for (id, stock) in [(&placed.id, "released"), (&rejected.id, "rejected")] {
        let order = shop.ends(id, ["cancelled", "voided", stock]).await;
        assert_eq!(
            (count(&order, "order.cancelled.v1"), count(&order, "payment.voided.v1")),
            (1, 1),
            "{order}"
        );
        let payment = shop.payment(id).await;
        assert_eq!(payment["charges"], serde_json::json!([]), "{payment}");
        shop.notified(id, "order_cancelled").await;
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_order_without_an_answer_of_inventory_expires_with_the_reason_of_payment() {
    let builder = System::builder().env("order", "ORDER_EXPIRES_AFTER", "2s");
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 5).await;
    shop.system.service("inventory").kill();
    let paid = shop.order("MUG", 1, "pm_card_visa").await;
    let declined = shop.order("MUG", 1, "pm_card_chargeDeclined").await;
    let order = shop.ends(&paid.id, ["cancelled", "voided", "pending"]).await;
    assert_eq!(order["reason"], "expired");
    let order = shop.ends(&declined.id, ["cancelled", "declined", "pending"]).await;
    assert_eq!(order["reason"], "payment_declined");

    shop.system.service("inventory").start().await.unwrap();
    for (id, payment) in [(&paid.id, "voided"), (&declined.id, "declined")] {
        let order = shop.ends(id, ["cancelled", payment, "released"]).await;
        assert_eq!(count(&order, "stock.released.v1"), 1, "{order}");
    }
    assert_eq!(shop.available("MUG").await, 5);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn only_the_orders_token_or_the_operators_token_cancels_it() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    let (placed, other) =
        (shop.order("MUG", 1, "pm_card_visa").await, shop.order("MUG", 1, "pm_card_visa").await);
    let flipped: String = placed.cancel_token.chars().rev().collect();
    for wrong in [None, Some("wrong"), Some(&*other.cancel_token), Some(&*flipped)] {
        problem(try_cancel(&shop, &placed.id, wrong).await, 401).await;
    }
    let absent = "01920000-0000-7000-8000-000000000001";
    for unknown in [absent, "nonsense"] {
        problem(try_cancel(&shop, unknown, Some(&placed.cancel_token)).await, 401).await;
        problem(try_cancel(&shop, unknown, Some(shop.system.admin_token())).await, 404).await;
    }
    shop.confirmed(&placed.id).await;
    assert_eq!(try_cancel(&shop, &other.id, Some(shop.system.admin_token())).await.status(), 202);
    let order = eventually("the operator's cancellation is complete", async || {
        let order = shop.get(&other.id).await;
        (order["stock"] == "released" && order["payment"] != "authorized").then_some(order)
    })
    .await;
    assert_eq!(order["reason"], "customer_request", "{order}");
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_accepted_at_any_time_and_idempotent() {
    let shop = Shop::open().await;
    shop.stock("MUG", 50).await;
    // Cancelled at once: before, between or after the answers of payment and inventory.
    let mut orders = Vec::new();
    for _ in 0..10 {
        let placed = shop.order("MUG", 1, "pm_card_visa").await;
        let (first, second) = futures::join!(shop.cancel(&placed), shop.cancel(&placed));
        assert_eq!((&first["status"], &second["status"]), (&"cancelled".into(), &"cancelled".into()));
        orders.push(placed);
    }
    // Cancelled after the confirmation: payment and stock are reversed.
    let late = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&late.id).await;
    shop.cancel(&late).await;
    shop.ends(&late.id, ["cancelled", "refunded", "released"]).await;
    orders.push(late);
    for placed in &orders {
        let order = eventually(&format!("order {} is in a final state", placed.id), async || {
            let order = shop.get(&placed.id).await;
            let back = order["payment"] == "voided" || order["payment"] == "refunded";
            (back && order["stock"] == "released").then_some(order)
        })
        .await;
        assert_eq!(order["reason"], "customer_request");
        let answers = count(&order, "payment.voided.v1") + count(&order, "payment.refunded.v1");
        let released = count(&order, "stock.released.v1");
        assert_eq!((count(&order, "order.cancelled.v1"), answers, released), (1, 1, 1), "{order}");
        // A repeated cancellation gets the same answer and has no effect.
        assert_eq!(shop.cancel(placed).await["history"], order["history"]);
    }
    assert_eq!(shop.available("MUG").await, 50);
    // An order that has already ended keeps its reason.
    let declined = shop.order("MUG", 1, "pm_card_chargeDeclined").await;
    shop.ends(&declined.id, ["cancelled", "declined", "released"]).await;
    assert_eq!(shop.cancel(&declined).await["reason"], "payment_declined");
    shop.system.quiesce().await.unwrap();
}
