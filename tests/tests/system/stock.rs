//! Restocks, stock takes and delisted products.

use futures::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use system_tests::{Shop, eventually, problem};

async fn call(shop: &Shop, method: Method, path: &str, body: Option<Value>) -> Response {
    let request = shop.http().request(method, shop.at("inventory", path));
    let request = body.iter().fold(request, reqwest::RequestBuilder::json);
    shop.operator(request).send().await.unwrap()
}

/// Returns whether the order service accepts a product, by an order that an unknown product makes invalid in any case.
async fn is_sold(shop: &Shop, sku: &str) -> bool {
    let probe = json!({"email": "probe@example.com", "payment_method": "pm_card_visa",
                       "items": [{"sku": sku, "quantity": 1}, {"sku": "NO-SUCH-PRODUCT", "quantity": 1}]});
    let (status, problem) = shop.try_order(None, &probe).await;
    assert_eq!(status, 422);
    !problem["errors"].as_array().unwrap().iter().any(|error| error["pointer"] == "/items/0/sku")
}

#[tokio::test]
async fn thirty_concurrent_restocks_with_one_key_count_once() {
    let shop = Shop::open().await;
    shop.stock("MUG", 3).await;
    let restock = async || {
        eventually("the restock is answered", async || {
            let post = shop.http().post(shop.at("inventory", "/products/MUG/restock"));
            let post =
                shop.operator(post.header("Idempotency-Key", "delivery-1").json(&json!({"quantity": 7})));
            let answer = post.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!(matches!(status, 200 | 409), "{status}: {text}");
            (status == 200).then_some(text)
        })
        .await
    };
    let answers = join_all((0..30).map(|_| restock())).await;
    assert!(answers.iter().all(|answer| answer == r#"{"sku":"MUG","available":10}"#), "{answers:?}");
    assert_eq!(shop.available("MUG").await, 10);
    // Restocks without a key count each; a key cannot be used for another product.
    shop.stock("PEN", 0).await;
    let post = shop.http().post(shop.at("inventory", "/products/PEN/restock"));
    let post = post.header("Idempotency-Key", "delivery-1").json(&json!({"quantity": 7}));
    problem(shop.operator(post).send().await.unwrap(), 422).await;
    join_all((0..10).map(|_| shop.restock("PEN", 1))).await;
    assert_eq!(shop.available("PEN").await, 10);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_stock_take_sets_the_stock_but_not_below_the_reserved_quantity() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    // An order that waits for its payment reserves four units.
    shop.set_gateway_outage(true).await;
    let placed = shop.order("MUG", 4, "pm_card_visa").await;
    eventually("four units are reserved", async || {
        (shop.get(&placed.id).await["stock"] == "reserved").then_some(())
    })
    .await;
    let count = async |on_hand: i64| {
        call(&shop, Method::PUT, "/products/MUG/stock", Some(json!({"on_hand": on_hand}))).await
    };
    problem(count(3).await, 409).await;
    assert_eq!(shop.available("MUG").await, 6);
    let counted: Value = count(7).await.json().await.unwrap();
    assert_eq!(counted, json!({"sku": "MUG", "on_hand": 7, "reserved": 4, "available": 3}));
    let too_many = shop.order("MUG", 4, "pm_card_visa").await;
    shop.set_gateway_outage(false).await;
    shop.confirmed(&placed.id).await;
    shop.ends(&too_many.id, ["cancelled", "voided", "rejected"]).await;
    let counted: Value = count(0).await.json().await.unwrap();
    assert_eq!(counted, json!({"sku": "MUG", "on_hand": 0, "reserved": 0, "available": 0}));
    problem(call(&shop, Method::PUT, "/products/NO-SUCH/stock", Some(json!({"on_hand": 1}))).await, 404)
        .await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_delisted_product_takes_no_orders_and_keeps_its_stock() {
    let shop = Shop::open().await;
    shop.stock("MUG", 10).await;
    shop.stock("PEN", 1).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;
    for _again in 0..2 {
        assert_eq!(call(&shop, Method::DELETE, "/products/MUG", None).await.status(), 204);
    }
    problem(call(&shop, Method::DELETE, "/products/NO-SUCH", None).await, 404).await;
    problem(call(&shop, Method::GET, "/products/MUG", None).await, 404).await;
    let list: Value = call(&shop, Method::GET, "/products", None).await.json().await.unwrap();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["sku"]), (1, &"PEN".into()));
    shop.confirmed(&placed.id).await;
    eventually("no new orders", async || (!is_sold(&shop, "MUG").await).then_some(())).await;
    let subscribe = shop.http().post(shop.at("notification", "/subscriptions"));
    let subscribe = subscribe.json(&json!({"email": "ada@example.com", "sku": "MUG"}));
    shop.system.quiesce().await.unwrap();
    let refused = problem(subscribe.send().await.unwrap(), 422).await;
    assert_eq!(refused["errors"][0]["pointer"], "/sku");

    let mug = json!({"name": "Mug, new", "price": {"amount": 0, "currency": "EUR"}});
    let again = call(&shop, Method::PUT, "/products/MUG", Some(mug.clone())).await;
    assert_eq!(again.status(), 201);
    assert_eq!(call(&shop, Method::PUT, "/products/MUG", Some(mug)).await.status(), 200);
    assert_eq!(shop.available("MUG").await, 8);
    eventually("orders again", async || is_sold(&shop, "MUG").await.then_some(())).await;
    let free = shop.order("MUG", 1, "pm_card_visa").await;
    assert_eq!(shop.confirmed(&free.id).await["total"]["amount"], 0);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn lists_are_paginated() {
    let shop = Shop::open().await;
    join_all((0..7).map(|n| shop.stock(["A", "B", "C", "D", "E", "F", "G"][n], 0))).await;
    let (mut seen, mut path) = (Vec::new(), "/products?limit=3".to_owned());
    loop {
        let page: Value = call(&shop, Method::GET, &path, None).await.json().await.unwrap();
        let skus =
            page["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned());
        seen.push(skus.collect::<String>());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/products?limit=3&cursor={next}");
    }
    assert_eq!(seen, ["ABC", "DEF", "G"]);
    shop.system.quiesce().await.unwrap();
}
