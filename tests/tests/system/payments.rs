//! Behaviours of the payment gateway, their effect on an order, and the gateway's books afterwards.

use serde_json::json;
use system_tests::{Shop, eventually, problem, run, total};

#[tokio::test]
async fn a_call_that_times_out_charges_once_and_the_order_is_confirmed() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 1, "pm_timeout").await;
    shop.confirmed(&placed.id).await;
    let payment = shop.payment(&placed.id).await;
    assert_eq!(payment["charges"].as_array().unwrap().len(), 1, "{payment}");
    assert_eq!((total(&payment["charges"]), total(&payment["refunds"])), (1299, 0));
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_fails_twice_is_called_again() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 1, "pm_flaky").await;
    shop.confirmed(&placed.id).await;
    let payment = shop.payment(&placed.id).await;
    assert_eq!(total(&payment["charges"]), 1299, "{payment}");
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_capture_that_fails_permanently_cancels_the_order_and_releases_its_stock() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 1, "pm_captureFails").await;
    let order = shop.ends(&placed.id, ["cancelled", "voided", "released"]).await;
    assert_eq!(order["reason"], "payment_failed");
    assert_eq!(total(&shop.payment(&placed.id).await["charges"]), 0);
    assert_eq!(shop.available("MUG").await, 5);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_unknown_payment_method_is_declined() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 1, "pm_of_another_planet").await;
    let order = shop.ends(&placed.id, ["cancelled", "declined", "released"]).await;
    assert_eq!(order["reason"], "payment_declined");
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_confirmed_order_that_its_customer_cancels_is_refunded() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    let cancel = format!("{}/orders/{}/cancel", shop.system.url("order"), placed.id);
    for wrong in [None, Some("wrong"), Some(shop.order("MUG", 1, "pm_card_visa").await.cancel_token.as_str())]
    {
        let request = shop.http().post(&cancel);
        let request = match wrong {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        assert_eq!(request.send().await.unwrap().status(), 401, "{wrong:?}");
    }
    for _again in 0..2 {
        let answer = shop.http().post(&cancel).bearer_auth(&placed.cancel_token).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
    let order = shop.ends(&placed.id, ["cancelled", "refunded", "released"]).await;
    assert_eq!(order["reason"], "customer_request");
    let payment = shop.payment(&placed.id).await;
    assert_eq!((total(&payment["charges"]), total(&payment["refunds"])), (2598, 2598));
    shop.notified(&placed.id, "order_refunded").await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn while_the_gateway_is_down_orders_wait_and_continue_afterwards() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    shop.set_gateway_outage(true).await;
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    eventually("a call to the gateway has failed", async || {
        let order = shop.get(&placed.id).await;
        let tried = shop.payment(&placed.id).await["attempts"].as_i64().unwrap_or_default() > 0;
        (tried && order["stock"] == "reserved" && order["payment"] == "pending").then_some(())
    })
    .await;
    shop.set_gateway_outage(false).await;
    shop.confirmed(&placed.id).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_latency_beyond_the_calls_deadline_is_refused_and_a_timed_out_call_is_counted() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let gateway = format!("{}/gateway", shop.system.url("payment"));
    let set = async |latency_ms: i64| {
        let put = shop.http().put(&gateway).json(&json!({"latency_ms": latency_ms, "outage": false}));
        shop.operator(put).send().await.unwrap()
    };
    for latency_ms in [10_001, 13_000, -1] {
        let refused = problem(set(latency_ms).await, 422).await;
        assert_eq!(refused["errors"][0]["pointer"], "/latency_ms", "{refused}");
    }
    let refused = problem(set(13_000).await, 422).await;
    assert!(refused["errors"][0]["detail"].as_str().unwrap().contains("times out after 12s"), "{refused}");
    let refused = run(&shop, "payment", &["--gateway-latency", "13s", "check"]).await.unwrap_err();
    assert!(refused.contains("must be at most 10s"), "{refused}");
    assert_eq!(set(10_000).await.status(), 200);
    assert_eq!(set(0).await.status(), 200);

    // A gateway that is slower than its deadline: each call times out and is counted.
    let slow = "ALTER TABLE gateway.switch DROP CONSTRAINT switch_latency_ms_check; \
                UPDATE gateway.switch SET latency_ms = 13000";
    shop.system.in_database("payment", slow).await.unwrap();
    let placed = shop.order("MUG", 1, "pm_card_visa").await;
    let timed_out = r#"gateway_calls_total{operation="authorize",outcome="timed_out"} 1"#;
    let metrics = format!("{}/metrics", shop.system.ops_url("payment", 1));
    eventually("the timed-out call is counted", async || {
        let metrics = shop.http().get(&metrics).send().await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line == timed_out).then_some(())
    })
    .await;
    assert_eq!(set(0).await.status(), 200);
    shop.confirmed(&placed.id).await;
    shop.system.quiesce().await.unwrap();
}
