//! Rate limits per client and per address.

use reqwest::Response;
use serde_json::json;
use system_tests::{Shop, problem};
use testkit::System;

/// Checks for 429 with a `Retry-After` of at most an hour.
async fn too_many(answer: Response) {
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    problem(answer, 429).await;
}

#[tokio::test]
async fn a_client_that_orders_too_often_gets_429_with_retry_after() {
    let builder = System::builder().env("order", "ORDERS_PER_CLIENT_PER_MINUTE", "3");
    let builder = builder.env("order", "TRUSTED_PROXIES", "127.0.0.1");
    let shop = Shop::with(builder).await;
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "NONE", "quantity": 1}]});
    let order = async |client: &str| {
        let post = shop.http().post(shop.at("order", "/orders")).header("x-forwarded-for", client);
        post.json(&body).send().await.unwrap()
    };
    for _ in 0..3 {
        problem(order("192.0.2.1").await, 422).await;
    }
    too_many(order("192.0.2.1").await).await;
    too_many(order("10.9.9.9, 192.0.2.1").await).await;
    problem(order("192.0.2.2").await, 422).await;
    let get = shop.http().get(shop.at("order", "/orders/nonsense")).header("x-forwarded-for", "192.0.2.1");
    problem(get.send().await.unwrap(), 404).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn subscriptions_are_limited_per_client_and_per_address() {
    let builder = System::builder().env("notification", "SUBSCRIPTIONS_PER_CLIENT_PER_HOUR", "5");
    let builder = builder.env("notification", "SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "2");
    let shop = Shop::with(builder.env("notification", "TRUSTED_PROXIES", "127.0.0.0/8")).await;
    shop.stock("MUG", 0).await;
    shop.system.quiesce().await.unwrap();
    let subscribe = async |client: &str, email: &str| {
        let post =
            shop.http().post(shop.at("notification", "/subscriptions")).header("x-forwarded-for", client);
        post.json(&json!({"email": email, "sku": "MUG"})).send().await.unwrap()
    };
    for email in ["ada@example.com", "Ada+shop@Example.com"] {
        assert_eq!(subscribe("192.0.2.1", email).await.status(), 202);
    }
    too_many(subscribe("192.0.2.2", "ADA+2@example.com").await).await;
    for email in ["b@example.com", "c@example.com", "d@example.com"] {
        assert_eq!(subscribe("192.0.2.1", email).await.status(), 202);
    }
    too_many(subscribe("192.0.2.1", "e@example.com").await).await;
    assert_eq!(subscribe("192.0.2.3", "e@example.com").await.status(), 202);
    shop.system.quiesce().await.unwrap();
}
