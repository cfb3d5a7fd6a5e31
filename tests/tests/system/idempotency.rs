//! A client that repeats a request with the same key gets one order.

use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use system_tests::{Shop, eventually};
use testkit::System;

fn body(quantity: i64) -> Value {
    json!({"email": "ada@example.com", "payment_method": "pm_card_visa", "items": [{"sku": "MUG", "quantity": quantity}]})
}

async fn post(shop: &Shop, key: &str, body: &Value) -> Response {
    let url = format!("{}/orders", shop.system.url("order"));
    shop.http().post(url).header("Idempotency-Key", key).json(body).send().await.unwrap()
}

#[tokio::test]
async fn a_repeated_order_gets_the_same_answer_byte_for_byte() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    let first = post(&shop, "key-1", &body(1)).await;
    let (status, location) = (first.status(), first.headers()["location"].clone());
    let first = first.bytes().await.unwrap();
    assert_eq!(status, 202);
    let order: Value = serde_json::from_slice(&first).unwrap();
    shop.confirmed(order["id"].as_str().unwrap()).await;

    let again = post(&shop, "key-1", &body(1)).await;
    assert_eq!((again.status(), &again.headers()["location"]), (status, &location));
    assert_eq!(again.bytes().await.unwrap(), first);
    assert_eq!(post(&shop, "key-1", &body(2)).await.status(), 422, "the same key with another body");
    assert_eq!(post(&shop, "not visible: \t", &body(1)).await.status(), 400);
    assert_eq!(shop.available("MUG").await, 9);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn thirty_concurrent_requests_with_one_key_are_one_order() {
    let shop = Shop::with(System::builder().instances("order", 2)).await;
    shop.stock("MUG", 100).await;
    let url = |n: usize| format!("{}/orders", shop.system.instance_url("order", 1 + n % 2));
    let answers = join_all((0..30).map(|n| {
        let request = shop.http().post(url(n)).header("Idempotency-Key", "the-key").json(&body(1));
        async move { request.send().await.unwrap() }
    }))
    .await;
    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        let status = answer.status();
        // While the first request is in flight, the others wait or get 409.
        assert!(status == 202 || status == 409, "{status}");
        if status == 202 {
            let order: Value = answer.json().await.unwrap();
            ids.insert(order["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    shop.confirmed(ids.first().unwrap()).await;
    assert_eq!(shop.available("MUG").await, 99);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_repeated_restock_with_a_key_counts_once() {
    let shop = Shop::open().await;
    shop.stock("MUG", 0).await;
    let restock = format!("{}/products/MUG/restock", shop.system.url("inventory"));
    let post = async |quantity: i64| {
        let request = shop.http().post(&restock).header("Idempotency-Key", "delivery-17");
        shop.operator(request.json(&json!({"quantity": quantity}))).send().await.unwrap()
    };
    let first = post(5).await.bytes().await.unwrap();
    assert_eq!(post(5).await.bytes().await.unwrap(), first);
    assert_eq!(post(6).await.status(), 422);
    assert_eq!(shop.available("MUG").await, 5);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_retry_after_a_crash_returns_the_order_whose_answer_was_lost() {
    let shop = Shop::open().await;
    shop.stock("MUG", 100).await;
    let before = body(1);
    let requests = (0..20).map(|n| {
        let (shop, body) = (&shop, &before);
        async move { shop.try_order(Some(&format!("lost-{n}")), body).await }
    });
    let kill = async { shop.system.service("order").kill() };
    let (_, ()) = futures::join!(join_all(requests), kill);
    shop.system.service("order").start().await.unwrap();

    let mut ids = std::collections::BTreeSet::new();
    for n in 0..20 {
        let key = format!("lost-{n}");
        let order = eventually("the retry is answered", async || {
            let (status, order) = shop.try_order(Some(&key), &before).await;
            (status == 202).then_some(order)
        })
        .await;
        ids.insert(order["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 20);
    for id in &ids {
        shop.confirmed(id).await;
    }
    assert_eq!(shop.available("MUG").await, 80);
    shop.system.quiesce().await.unwrap();
}
