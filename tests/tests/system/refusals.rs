//! Refused requests and their problem documents.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use system_tests::{Shop, problem};

async fn send(
    shop: &Shop,
    method: Method,
    url: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Response {
    shop.http().request(method, url).header("content-type", content_type).body(body).send().await.unwrap()
}

#[tokio::test]
async fn invalid_input_gets_a_problem_that_points_at_the_field() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let orders = format!("{}/orders", shop.system.url("order"));
    let with = |field: &str, value: Value| {
        let mut body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                              "items": [{"sku": "MUG", "quantity": 1}]});
        body[field] = value;
        body
    };
    let json = "application/json";
    for (status, content_type, body) in [
        (400, json, String::new()),
        (400, json, "{".to_owned()),
        (400, json, "[".repeat(60_000)),
        (413, json, " ".repeat(70 * 1024)),
        (415, "text/plain", "{}".to_owned()),
        (415, "application/merge-patch+json", "{}".to_owned()),
        (422, json, "[]".to_owned()),
        (422, json, "{}".to_owned()),
    ] {
        problem(send(&shop, Method::POST, &orders, content_type, body.clone()).await, status).await;
    }
    problem(shop.http().post(&orders).send().await.unwrap(), 400).await;
    let packed = shop.http().post(&orders).header("content-type", json).header("content-encoding", "gzip");
    problem(packed.body("packed").send().await.unwrap(), 415).await;
    for (pointer, field, value) in [
        ("/email", "email", json!("no address")),
        ("/email", "email", json!("a\u{0}@example.com")),
        ("/email", "email", json!("a\u{200b}da@example.com")),
        ("/email", "email", json!("ada@exa\u{ad}mple.com")),
        ("/email", "email", json!("ada@exa_mple.com")),
        ("/email", "email", json!("a@example.com\r\nBcc: b@example.com")),
        ("/items/0/quantity", "items", json!([{"sku": "MUG", "quantity": 0}])),
        ("/items/0/quantity", "items", json!([{"sku": "MUG", "quantity": 1001}])),
        ("/items/0/quantity", "items", json!([{"sku": "MUG", "quantity": 1.5}])),
        ("/items/0/sku", "items", json!([{"sku": "NO-SUCH", "quantity": 1}])),
        ("/items", "items", json!([])),
        ("/payment_method", "payment_method", json!("x".repeat(65))),
        ("/payment_method", "payment_method", json!("ada@example.com")),
        ("/payment_method", "payment_method", json!("4242_4242_4242_4242")),
        ("/surprise", "surprise", json!(1)),
    ] {
        let answer = send(&shop, Method::POST, &orders, json, with(field, value).to_string()).await;
        let problem = problem(answer, 422).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn invisible_characters_are_refused_in_names_and_addresses() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let url = shop.at("inventory", "/products/MUG");
    for c in ['\u{200b}', '\u{202e}', '\u{ad}', '\u{feff}', '\u{2028}'] {
        let product = json!({"name": format!("Blue{c} mug"), "price": {"amount": 1, "currency": "EUR"}});
        let answer = shop.operator(shop.http().put(&url).json(&product)).send().await.unwrap();
        assert_eq!(problem(answer, 422).await["errors"][0]["pointer"], "/name", "{c:?}");
        for (service, path) in
            [("order", "/erasures"), ("notification", "/erasures"), ("notification", "/subscriptions")]
        {
            let mut body = json!({"email": format!("ada{c}@example.com")});
            if path == "/subscriptions" {
                body["sku"] = json!("MUG");
            }
            let post = shop.http().post(shop.at(service, path)).json(&body);
            let refused = problem(shop.operator(post).send().await.unwrap(), 422).await;
            assert_eq!(refused["errors"][0]["pointer"], "/email", "{service}{path} {c:?}");
            let detail = refused["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains("cannot be seen"), "{detail}");
        }
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_order_shows_its_customer_only_to_the_operator() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let (_, placed) = shop.try_order(None, &body).await;
    let id = placed["id"].as_str().unwrap();
    shop.confirmed(id).await;
    let url = shop.at("order", &format!("/orders/{id}"));
    let cancel_token = placed["cancel_token"].as_str().unwrap();
    let guest: Value = shop.http().get(&url).send().await.unwrap().json().await.unwrap();
    let own: Value =
        shop.http().get(&url).bearer_auth(cancel_token).send().await.unwrap().json().await.unwrap();
    let cancel = shop.http().post(format!("{url}/cancel")).bearer_auth(cancel_token);
    let cancelled: Value = cancel.send().await.unwrap().json().await.unwrap();
    for public in [&placed, &guest, &own, &cancelled] {
        assert!(public["status"].is_string() && public.get("customer_id").is_none(), "{public}");
    }
    problem(shop.http().get(&url).bearer_auth("wrong").send().await.unwrap(), 401).await;
    let customer = shop.customer_of(id).await;
    assert_eq!(customer.chars().nth(14), Some('4'), "a random UUID reveals no time: {customer}");
    shop.ends(id, ["cancelled", "refunded", "released"]).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn operator_calls_are_refused_before_the_body_is_read() {
    let shop = Shop::open().await;
    for (service, method, path) in [
        ("order", Method::POST, "/erasures"),
        ("order", Method::DELETE, "/customers/01920000-0000-7000-8000-000000000001"),
        ("inventory", Method::PUT, "/products/MUG"),
        ("inventory", Method::POST, "/products/MUG/restock"),
        ("payment", Method::PUT, "/gateway"),
        ("notification", Method::GET, "/notifications"),
        ("notification", Method::GET, "/reports/notify-me"),
    ] {
        let url = format!("{}{path}", shop.system.url(service));
        let answer = send(&shop, method.clone(), &url, "text/plain", "not even JSON").await;
        assert!(answer.headers().contains_key("www-authenticate"), "{path}");
        problem(answer, 401).await;
        let wrong = shop.http().request(method, &url).bearer_auth("wrong").send().await.unwrap();
        problem(wrong, 401).await;
    }
}

#[tokio::test]
async fn a_missing_resource_is_404_and_a_wrong_method_405() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let get = async |service: &str, path: &str| {
        shop.http().get(format!("{}{path}", shop.system.url(service))).send().await.unwrap()
    };
    let order = shop.order("MUG", 1, "pm_card_visa").await.id;
    assert_eq!(get("order", &format!("/orders/{order}")).await.status(), 200);
    let (urn, braces, bare) =
        (format!("/orders/urn:uuid:{order}"), format!("/orders/%7B{order}%7D"), order.replace('-', ""));
    let unknown = "01920000-0000-7000-8000-000000000001";
    for path in [&format!("/orders/{unknown}"), "/orders/nonsense", &urn, &braces, &format!("/orders/{bare}")]
    {
        problem(get("order", path).await, 404).await;
    }
    for path in ["/nothing", "/docs/nothing"] {
        problem(get("payment", path).await, 404).await;
    }
    for id in [unknown, "nonsense"] {
        let erasure = shop.http().delete(shop.at("order", &format!("/customers/{id}")));
        problem(shop.operator(erasure).send().await.unwrap(), 404).await;
    }
    problem(get("inventory", "/products/NO-SUCH").await, 404).await;
    let answer = get("order", "/orders").await;
    assert_eq!(answer.headers()["allow"], "POST");
    problem(answer, 405).await;
}
