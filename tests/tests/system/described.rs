//! The `OpenAPI` description of each service, and CORS for the shop's own pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use system_tests::Shop;
use testkit::System;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Properties that client generators need and that the types of the description do not guarantee.
#[tokio::test]
async fn every_operation_has_a_unique_id_and_every_response_a_description() {
    let shop = Shop::open().await;
    for service in ["order", "payment", "inventory", "notification"] {
        let api: Value =
            shop.http().get(shop.at(service, "/openapi.json")).send().await.unwrap().json().await.unwrap();
        let paths = api["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| METHODS.iter().filter_map(|method| path.get(method)));
        let mut names = BTreeSet::new();
        for operation in operations {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{service}: {operation}");
            for response in operation["responses"].as_object().unwrap().values() {
                let said = response["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(said || response["$ref"].is_string(), "{service}: {operation}");
            }
        }
        assert!(names.len() > 1, "{service}: {names:?}");
    }
}

#[tokio::test]
async fn the_description_lists_the_required_fields_of_a_payment() {
    let shop = Shop::open().await;
    let api: Value =
        shop.http().get(shop.at("payment", "/openapi.json")).send().await.unwrap().json().await.unwrap();
    let payment = &api["components"]["schemas"]["PaymentView"]["properties"];
    let required = |list: &str| {
        let schema = payment[list]["items"]["$ref"].as_str().unwrap();
        api.pointer(schema.trim_start_matches('#')).unwrap()["required"].clone()
    };
    assert_eq!(required("charges"), json!(["id", "amount", "at"]));
    assert_eq!(required("refunds"), json!(["id", "amount", "at"]));
    assert_eq!(required("history"), json!(["type", "at"]));
}

#[tokio::test]
async fn only_pages_of_the_allowed_origins_may_post_the_form() {
    let builder = System::builder().env(
        "notification",
        "CORS_ORIGINS",
        "https://SHOP.example:443, https://m.shop.example",
    );
    let shop = Shop::with(builder).await;
    shop.stock("PEN", 0).await;
    // Waits until the notification service knows the product.
    shop.system.quiesce().await.unwrap();
    let form = shop.at("notification", "/subscriptions");
    let allowed = async |method: reqwest::Method, origin: &str| {
        let asked = shop.http().request(method, &form).header("origin", origin);
        let asked = asked
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let answer = asked.json(&json!({"email": "ada@example.com", "sku": "PEN"})).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        assert!(answer.headers()["vary"].to_str().unwrap().contains("origin"), "{answer:?}");
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    for method in [reqwest::Method::OPTIONS, reqwest::Method::POST] {
        for origin in ["https://shop.example", "https://m.shop.example"] {
            assert_eq!(allowed(method.clone(), origin).await.as_deref(), Some(origin));
        }
        assert_eq!(allowed(method, "https://elsewhere.example").await, None);
    }
}

#[tokio::test]
async fn api_docs_false_disables_the_description() {
    let shop = Shop::with(System::builder().env("inventory", "API_DOCS", "false")).await;
    for path in ["/docs", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
        let status = async |service: &str| shop.http().get(shop.at(service, path)).send().await.unwrap();
        let shown = status("order").await;
        assert_eq!(shown.status(), 200, "{path}");
        let policy = shown.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self';"),
            "{policy}"
        );
        assert_eq!(status("inventory").await.status(), 404, "{path}");
    }
}
