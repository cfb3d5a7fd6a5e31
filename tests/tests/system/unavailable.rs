//! A request that cannot be processed now is refused within three seconds, with a `Retry-After`.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use system_tests::{Shop, eventually, problem};
use testkit::System;

const IN_TIME: Duration = Duration::from_secs(3);
const ID: &str = "01920000-0000-7000-8000-000000000001";

/// All endpoints that need their database, each with a valid request.
fn endpoints() -> Vec<(&'static str, Method, String, Option<Value>)> {
    let order = json!({"email": "ada@example.com", "items": [{"sku": "MUG", "quantity": 1}],
                       "payment_method": "pm_card_visa"});
    let product = json!({"name": "Mug", "price": {"amount": 1299, "currency": "EUR"}});
    let erasure = || Some(json!({"email": "nobody@example.com"}));
    let endpoint = |service, method, path: &str, body| (service, method, path.to_owned(), body);
    vec![
        endpoint("order", Method::POST, "/orders", Some(order)),
        endpoint("order", Method::GET, &format!("/orders/{ID}"), None),
        endpoint("order", Method::POST, &format!("/orders/{ID}/cancel"), None),
        endpoint("order", Method::DELETE, &format!("/customers/{ID}"), None),
        endpoint("order", Method::POST, "/erasures", erasure()),
        endpoint("inventory", Method::PUT, "/products/MUG", Some(product)),
        endpoint("inventory", Method::DELETE, "/products/MUG", None),
        endpoint("inventory", Method::POST, "/products/MUG/restock", Some(json!({"quantity": 1}))),
        endpoint("inventory", Method::PUT, "/products/MUG/stock", Some(json!({"on_hand": 9}))),
        endpoint("inventory", Method::GET, "/products", None),
        endpoint("inventory", Method::GET, "/products/MUG", None),
        endpoint("payment", Method::GET, &format!("/payments/{ID}"), None),
        endpoint("payment", Method::PUT, "/gateway", Some(json!({"latency_ms": 0, "outage": false}))),
        endpoint(
            "notification",
            Method::POST,
            "/subscriptions",
            Some(json!({"email": "ada@example.com", "sku": "MUG"})),
        ),
        endpoint("notification", Method::GET, "/notifications", None),
        endpoint("notification", Method::GET, "/reports/notify-me", None),
        endpoint("notification", Method::POST, "/erasures", erasure()),
    ]
}

fn request(
    shop: &Shop,
    (service, method, path, body): &(&str, Method, String, Option<Value>),
) -> RequestBuilder {
    let request = shop.http().request(method.clone(), shop.at(service, path));
    shop.operator(body.iter().fold(request, RequestBuilder::json))
}

/// Checks that every endpoint answers 503 in time, twice.
async fn all_refuse(shop: &Shop) {
    let refusals = endpoints().into_iter().map(|endpoint| async move {
        for _again in 0..2 {
            let started = Instant::now();
            let answer = request(shop, &endpoint).send().await.unwrap();
            let took = started.elapsed();
            println!("{} {}{}: {} in {took:?}", endpoint.1, endpoint.0, endpoint.2, answer.status());
            problem(answer, 503).await;
            assert!(took < IN_TIME, "{endpoint:?}: {took:?}");
        }
    });
    join_all(refusals).await;
}

#[tokio::test]
async fn without_its_database_every_endpoint_answers_503_within_three_seconds() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 10).await;
    let before = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&before.id).await;
    // A frozen Postgres does not answer; a killed one refuses connections.
    shop.system.postgres().freeze();
    all_refuse(&shop).await;
    shop.system.postgres().thaw();
    eventually("orders are read again", async || {
        (shop.get(&before.id).await["status"] == "confirmed").then_some(())
    })
    .await;
    shop.system.postgres().kill();
    all_refuse(&shop).await;
    for service in shop.system.services() {
        assert_eq!(shop.health(service, 1, "ready").await.unwrap().0, 503, "{service}");
    }
    shop.system.postgres().start().await.unwrap();
    let after = eventually("an order is accepted again", async || {
        let body = endpoints().remove(0).3.unwrap();
        let (status, order) = shop.try_order(None, &body).await;
        (status == 202).then_some(order)
    })
    .await;
    shop.confirmed(after["id"].as_str().unwrap()).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn with_a_full_outbox_writes_are_refused_and_reads_are_answered() {
    let builder = System::builder().private_servers().env_all("OUTBOX_LIMIT", "20");
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    let first = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&first.id).await;
    shop.system.quiesce().await.unwrap();
    shop.system.kafka().kill();
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let mut taken = Vec::new();
    eventually("the outbox is full", async || {
        let (status, order) = shop.try_order(None, &body).await;
        assert!(matches!(status, 202 | 503), "{status}: {order}");
        taken.extend(order["id"].as_str().map(str::to_owned));
        (status == 503).then_some(())
    })
    .await;
    assert!(taken.len() >= 20, "only {} orders were accepted", taken.len());
    for endpoint in
        endpoints().into_iter().filter(|(service, method, ..)| *service == "order" && *method != Method::GET)
    {
        problem(request(&shop, &endpoint).send().await.unwrap(), 503).await;
    }
    assert_eq!(shop.get(&taken[0]).await["status"], "placed");

    shop.system.kafka().start().await.unwrap();
    for id in &taken {
        shop.confirmed(id).await;
    }
    let last = eventually("there is room again", async || {
        let (status, order) = shop.try_order(None, &body).await;
        (status == 202).then_some(order)
    })
    .await;
    shop.confirmed(last["id"].as_str().unwrap()).await;
    shop.system.quiesce().await.unwrap();
}
