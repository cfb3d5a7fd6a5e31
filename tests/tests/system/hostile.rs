//! Hostile requests: each endpoint refuses them with a problem that names the error, and nothing breaks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Shop, problem};

const JSON: &str = "application/json";

/// An endpoint that takes a body, with a valid body.
struct Endpoint {
    service: &'static str,
    method: Method,
    path: &'static str,
    body: Value,
}

fn endpoints() -> Vec<Endpoint> {
    let endpoint = |service, method, path, body| Endpoint { service, method, path, body };
    let order = json!({"email": "ada@example.com", "items": [{"sku": "MUG", "quantity": 1}],
                       "payment_method": "pm_card_visa", "notify_me": false});
    let product = json!({"name": "Mug", "price": {"amount": 1299, "currency": "EUR"}});
    vec![
        endpoint("order", Method::POST, "/orders", order),
        endpoint("order", Method::POST, "/erasures", json!({"email": "nobody@example.com"})),
        endpoint("inventory", Method::PUT, "/products/MUG", product),
        endpoint("inventory", Method::POST, "/products/MUG/restock", json!({"quantity": 5})),
        endpoint("inventory", Method::PUT, "/products/MUG/stock", json!({"on_hand": 100})),
        endpoint("payment", Method::PUT, "/gateway", json!({"latency_ms": 0, "outage": false})),
        endpoint(
            "notification",
            Method::POST,
            "/subscriptions",
            json!({"email": "eve@example.com", "sku": "MUG", "quantity": 1}),
        ),
        endpoint("notification", Method::POST, "/erasures", json!({"email": "nobody@example.com"})),
    ]
}

impl Endpoint {
    async fn send(&self, shop: &Shop, content_type: &str, body: impl Into<Vec<u8>>) -> reqwest::Response {
        let url = shop.at(self.service, self.path);
        let request = shop.http().request(self.method.clone(), url).header("content-type", content_type);
        shop.operator(request.body(body.into())).send().await.unwrap()
    }

    async fn refuses(&self, shop: &Shop, status: u16, content_type: &str, body: &[u8]) -> Value {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        println!("{} {}{} {shown}", self.method, self.service, self.path);
        problem(self.send(shop, content_type, body).await, status).await
    }
}

/// Collects the JSON pointers of all values within, including arrays and objects.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| places(member, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
    if !at.is_empty() {
        found.push(at.to_owned());
    }
}

/// Returns invalid replacements for a value of this kind, as JSON text, since some numbers fit no type here.
fn hostile(value: &Value) -> Vec<String> {
    let long = format!("\"{}\"", "x".repeat(300));
    let texts = [r#""a\u0000b""#, r#""a\r\nBcc: b@example.com""#, r#""""#, r#""\ud83d\ude08 \u202e""#, &long];
    let numbers = ["-1", "1e400", "-1e400", "1.5", "18446744073709551616", "9223372036854775807", "1e3"];
    let kinds: [&[&str]; 4] = [&["null", "[]", "{}"], &["true", "1"], &["\"1\""], &["[[1]]"]];
    let [always, no_text, no_number, nested] = kinds;
    let all: Vec<&str> = match value {
        Value::String(_) => [always, no_text, nested, &texts].concat(),
        Value::Number(_) => [always, no_number, nested, &numbers, &["true"]].concat(),
        Value::Bool(_) => [always, no_number, nested, &["1"]].concat(),
        Value::Array(_) => [&["null", "{}", "[]"][..], no_number, nested, &["1"]].concat(),
        _ => [&["null", "[]"][..], no_number, no_text, nested].concat(),
    };
    all.into_iter().map(str::to_owned).collect()
}

/// Returns the body with the text at one pointer replaced.
fn with(body: &Value, place: &str, text: &str) -> String {
    let mut body = body.clone();
    *body.pointer_mut(place).unwrap() = json!("PLACE");
    body.to_string().replace("\"PLACE\"", text)
}

/// Returns the values of an object as an array in declaration order, which serde would accept as the object.
fn as_array(value: &Value, order: &[&str]) -> Value {
    order.iter().filter_map(|name| value.get(name)).cloned().collect()
}

#[tokio::test]
async fn every_endpoint_refuses_malformed_bodies_with_the_right_status() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    for endpoint in endpoints() {
        let body = endpoint.body.to_string();
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        for (status, content_type, body) in [
            (400, JSON, &b""[..]),
            (400, JSON, b"{"),
            (400, JSON, b"\xff\xfe{}"),
            (400, JSON, b"{\"email\":\"\xc3\x28\"}"),
            (400, JSON, format!("{body} x").as_bytes()),
            (400, JSON, deep.as_bytes()),
            (400, JSON, "[".repeat(60_000).as_bytes()),
            (413, JSON, " ".repeat(70 * 1024).as_bytes()),
            (415, "text/plain", body.as_bytes()),
            (415, "application/x-www-form-urlencoded", b"email=a"),
            (415, "multipart/form-data; boundary=x", body.as_bytes()),
            (422, JSON, b"[]"),
            (422, JSON, b"{}"),
            (422, JSON, b"null"),
            (422, JSON, b"1e999"),
            (422, JSON, b"\"{}\""),
        ] {
            endpoint.refuses(&shop, status, content_type, body).await;
        }
        let untyped =
            shop.http().request(endpoint.method.clone(), shop.at(endpoint.service, endpoint.path)).body("{}");
        problem(shop.operator(untyped).send().await.unwrap(), 415).await;
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn every_endpoint_points_at_the_invalid_field() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    for endpoint in endpoints() {
        let mut unknown = endpoint.body.clone();
        unknown["sur/prise"] = json!(1);
        let refused = endpoint.refuses(&shop, 422, JSON, unknown.to_string().as_bytes()).await;
        assert_eq!(refused["errors"][0]["pointer"], "/sur~1prise", "{refused}");

        let twice = endpoint.body.to_string();
        let first = twice[1..].split(':').next().unwrap().trim_matches('"').to_owned();
        let twice = format!("{{\"{first}\":{},{}", endpoint.body[&first], &twice[1..]);
        let refused = endpoint.refuses(&shop, 422, JSON, twice.as_bytes()).await;
        assert_eq!(refused["errors"][0]["pointer"], format!("/{first}"), "{refused}");

        let mut found = Vec::new();
        places(&endpoint.body, "", &mut found);
        for place in found {
            for text in hostile(endpoint.body.pointer(&place).unwrap()) {
                // Valid values: free text, an optional field, and an amount that has no lower maximum.
                let allowed = (place == "/name" && text.starts_with("\"\\ud83d"))
                    || (place == "/quantity" && endpoint.path == "/subscriptions" && text == "null")
                    || (place == "/price/amount" && text == "9223372036854775807");
                if allowed {
                    continue;
                }
                let body = with(&endpoint.body, &place, &text);
                let refused = endpoint.refuses(&shop, 422, JSON, body.as_bytes()).await;
                let pointer = refused["errors"][0]["pointer"].as_str().unwrap();
                assert!(pointer.starts_with(&place), "{body}: {refused}");
            }
        }
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_array_is_not_accepted_as_an_object() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let orders = [
        "email",
        "items",
        "payment_method",
        "notify_me",
        "name",
        "price",
        "sku",
        "quantity",
        "on_hand",
        "latency_ms",
        "outage",
    ];
    for endpoint in endpoints() {
        let refused = endpoint
            .refuses(&shop, 422, JSON, as_array(&endpoint.body, &orders).to_string().as_bytes())
            .await;
        assert_eq!(refused["errors"][0]["pointer"], "", "{refused}");
    }
    for (endpoint, place, array) in [(0, "/items/0", r#"["MUG",1]"#), (2, "/price", r#"[1299,"EUR"]"#)] {
        let endpoint = &endpoints()[endpoint];
        let refused = endpoint.refuses(&shop, 422, JSON, with(&endpoint.body, place, array).as_bytes()).await;
        assert_eq!(refused["errors"][0]["pointer"], place, "{refused}");
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn hostile_paths_queries_and_headers_are_refused() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let long = format!("/orders/{}", "x".repeat(5000));
    for (service, path, status) in [
        ("order", "/orders/%00", 404),
        ("order", "/orders/%ff%fe", 404),
        ("order", "/orders/..%2f..%2fetc%2fpasswd", 404),
        ("order", &long, 404),
        ("inventory", "/products/%00", 404),
        ("inventory", "/products/%ff", 404),
        ("inventory", "/products?limit=0", 422),
        ("inventory", "/products?limit=99999999999999999999", 422),
        ("inventory", "/products?cursor=%00", 422),
        ("inventory", "/products?cursor=bm9uZQ", 422),
        ("payment", "/payments/nonsense", 404),
        ("payment", "/payments/01920000-0000-7000-8000-000000000001", 404),
        ("notification", "/notifications?order_id=nonsense", 422),
        ("notification", "/notifications?kind=nonsense", 422),
        ("notification", "/notifications?status=%00", 422),
        ("notification", "/notifications?sku=%ff", 422),
        ("notification", "/reports/notify-me?cursor=x&limit=201", 422),
    ] {
        problem(shop.operator(shop.http().get(shop.at(service, path))).send().await.unwrap(), status).await;
    }
    for path in ["/subscriptions/confirm", "/subscriptions/unsubscribe", "/subscriptions/join", "/c/none"] {
        for query in
            ["", "?token=", "?token=%00", "?token=%ff", "?token=a.b.c", "?token=AAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            for method in [Method::GET, Method::POST] {
                let url = shop.at("notification", &format!("{path}{query}"));
                let status = shop.http().request(method, &url).body("\0\r\n").send().await.unwrap().status();
                assert!([404, 422].contains(&status.as_u16()), "{url}: {status}");
            }
        }
    }
    let body = endpoints()[0].body.to_string();
    for key in ["", "a b", "\u{e9}", &"k".repeat(256)] {
        let request = shop.http().post(shop.at("order", "/orders")).header("content-type", JSON);
        let request = request.header("idempotency-key", key.as_bytes()).body(body.clone());
        problem(request.send().await.unwrap(), 400).await;
    }
    shop.system.quiesce().await.unwrap();
}

/// Sends only the head of a request, and returns the answer.
fn answer_to_head(url: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    write!(stream, "{head}\r\nHost: shop\r\nContent-Type: {JSON}\r\nContent-Length: 60000\r\n\r\n{{")
        .unwrap();
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).expect("an answer before the body");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn the_token_is_checked_before_the_body_arrives() {
    let shop = Shop::open().await;
    for endpoint in
        endpoints().into_iter().filter(|endpoint| !["/orders", "/subscriptions"].contains(&endpoint.path))
    {
        for token in ["", "\r\nAuthorization: Bearer wrong", "\r\nAuthorization: Basic YTpi"] {
            let head = format!("{} {} HTTP/1.1{token}", endpoint.method, endpoint.path);
            let answer = answer_to_head(&shop.system.url(endpoint.service), &head);
            assert!(answer.starts_with("HTTP/1.1 401 "), "{head}: {answer}");
            assert!(answer.to_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{answer}");
        }
    }
    shop.system.quiesce().await.unwrap();
}
