//! What cannot be done now is said within three seconds, with when to try again.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stack::System;
use system_tests::{Shop, eventually, problem};

const IN_TIME: Duration = Duration::from_secs(3);
const ID: &str = "01920000-0000-7000-8000-000000000001";

/// Every door that needs its database, with a request that it would answer.
fn doors() -> Vec<(&'static str, Method, String, Option<Value>)> {
    let order = json!({"email": "ada@example.com", "items": [{"sku": "MUG", "quantity": 1}],
                       "payment_method": "pm_card_visa"});
    let product = json!({"name": "Mug", "price": {"amount": 1299, "currency": "EUR"}});
    let erasure = || Some(json!({"email": "nobody@example.com"}));
    let door = |service, method, path: &str, body| (service, method, path.to_owned(), body);
    vec![
        door("order", Method::POST, "/orders", Some(order)),
        door("order", Method::GET, &format!("/orders/{ID}"), None),
        door("order", Method::POST, &format!("/orders/{ID}/cancel"), None),
        door("order", Method::DELETE, &format!("/customers/{ID}"), None),
        door("order", Method::POST, "/erasures", erasure()),
        door("inventory", Method::PUT, "/products/MUG", Some(product)),
        door("inventory", Method::DELETE, "/products/MUG", None),
        door("inventory", Method::POST, "/products/MUG/restock", Some(json!({"quantity": 1}))),
        door("inventory", Method::PUT, "/products/MUG/stock", Some(json!({"on_hand": 9}))),
        door("inventory", Method::GET, "/products", None),
        door("inventory", Method::GET, "/products/MUG", None),
        door("payment", Method::GET, &format!("/payments/{ID}"), None),
        door("payment", Method::PUT, "/gateway", Some(json!({"latency_ms": 0, "outage": false}))),
        door(
            "notification",
            Method::POST,
            "/subscriptions",
            Some(json!({"email": "ada@example.com", "sku": "MUG"})),
        ),
        door("notification", Method::GET, "/notifications", None),
        door("notification", Method::GET, "/reports/notify-me", None),
        door("notification", Method::POST, "/erasures", erasure()),
    ]
}

fn request(
    shop: &Shop,
    (service, method, path, body): &(&str, Method, String, Option<Value>),
) -> RequestBuilder {
    let request = shop.http().request(method.clone(), shop.at(service, path));
    shop.operator(body.iter().fold(request, RequestBuilder::json))
}

/// Every door answers 503 in time, at once and again.
async fn all_refuse(shop: &Shop) {
    let refusals = doors().into_iter().map(|door| async move {
        for _again in 0..2 {
            let started = Instant::now();
            let answer = request(shop, &door).send().await.unwrap();
            let took = started.elapsed();
            println!("{} {}{}: {} in {took:?}", door.1, door.0, door.2, answer.status());
            problem(answer, 503).await;
            assert!(took < IN_TIME, "{door:?}: {took:?}");
        }
    });
    join_all(refusals).await;
}

#[tokio::test]
async fn without_its_database_every_door_says_so_within_three_seconds() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 10).await;
    let before = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&before.id).await;
    // Frozen it does not answer; killed it is not there.
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
        let ready = format!("{}/health/ready", shop.system.ops_url(service, 1));
        assert_eq!(shop.http().get(ready).send().await.unwrap().status(), 503, "{service}");
    }
    shop.system.postgres().start().await.unwrap();
    let after = eventually("an order is taken again", async || {
        let body = doors().remove(0).3.unwrap();
        let (status, order) = shop.try_order(None, &body).await;
        (status == 202).then_some(order)
    })
    .await;
    shop.confirmed(after["id"].as_str().unwrap()).await;
    shop.system.settled().await.unwrap();
}

#[tokio::test]
async fn with_a_full_outbox_no_new_work_is_taken_and_all_is_read() {
    let builder = System::builder().private_servers().env_all("OUTBOX_LIMIT", "20");
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    let first = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&first.id).await;
    shop.system.settled().await.unwrap();
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
    assert!(taken.len() >= 20, "{} orders fit", taken.len());
    for door in
        doors().into_iter().filter(|(service, method, ..)| *service == "order" && *method != Method::GET)
    {
        problem(request(&shop, &door).send().await.unwrap(), 503).await;
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
    shop.system.settled().await.unwrap();
}
