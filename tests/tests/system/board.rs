//! The board's pages and their streams: HTML and Server-Sent Events, as a browser receives them.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use system_tests::{Shop, eventually, problem};
use testkit::System;

const BOARD: &str = "http://localhost:8084";

async fn open() -> Shop {
    let builder = System::builder().with_board().env("board", "PUBLIC_URL", BOARD);
    Shop::with(builder.env_all("CORS_ORIGINS", BOARD).env("notification", "DEMO_INBOX", "true")).await
}

async fn page(shop: &Shop, service: &str, path: &str) -> (StatusCode, String) {
    let answer = shop.http().get(shop.at(service, path)).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Reads a stream until what it sent contains all of `wanted`; returns what it sent.
async fn read_until(shop: &Shop, path: &str, wanted: &[&str]) -> String {
    let mut stream: Response = shop.http().get(shop.at("board", path)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut sent = String::new();
    let reading = async {
        while !wanted.iter().all(|text| sent.contains(text)) {
            sent.push_str(&String::from_utf8_lossy(
                &stream.chunk().await.unwrap().expect("the stream goes on"),
            ));
        }
    };
    let in_time = tokio::time::timeout(system_tests::TIMEOUT, reading).await.is_ok();
    assert!(in_time, "{path} did not send all of {wanted:?}: {sent}");
    sent
}

#[tokio::test]
async fn an_order_is_seen_from_the_catalogue_to_the_mail_and_no_page_shows_its_address() {
    let shop = open().await;
    shop.stock("MUG", 5).await;
    eventually("the shop shows the stock", async || {
        let (_, html) = page(&shop, "board", "/").await;
        (html.contains("Product MUG") && html.contains("5 in stock")).then_some(())
    })
    .await;
    let body = json!({"email": "grace@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let (_, order) = shop.try_order(None, &body).await;
    let id = order["id"].as_str().unwrap();
    let stations =
        ["authorized", "reserved", "confirmed", "captured", "committed", "sent", "/events/payments/"];
    let html = read_until(&shop, &format!("/orders/{id}/stream"), &stations).await;
    assert!(!html.contains("refused"), "{html}");

    let event = html.split_once("href=\"/events/orders/").unwrap().1.split_once('"').unwrap().0;
    for path in [
        "/",
        "/products/MUG",
        "/board",
        "/operator",
        "/events/orders",
        &format!("/events/orders/{event}"),
        &format!("/keys/{id}"),
        &format!("/orders/{id}"),
    ] {
        let answer = shop.http().get(shop.at("board", path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(
            policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        let html = answer.text().await.unwrap();
        assert!(html.contains("</html>") && !html.contains("grace@"), "{path}: {html}");
        assert!(!html.contains("style=\"") && !html.contains("<script>"), "{path} breaks its policy: {html}");
    }
    assert!(page(&shop, "board", &format!("/keys/{id}")).await.1.contains("notification.sent.v1"));
    let (status, part) = {
        let asked = shop
            .http()
            .get(shop.at("board", &format!("/events/orders/{event}")))
            .header("hx-request", "true");
        let answer = asked.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert!(status == 200 && part.contains("ce_sequence") && !part.contains("<html"), "{part}");
    assert_eq!(page(&shop, "board", "/events/orders/0/999999").await.0, 404);
    assert_eq!(page(&shop, "board", "/products/NO-SUCH").await.0, 404);

    let (_, inbox) = page(&shop, "notification", "/inbox").await;
    assert!(inbox.contains("is confirmed") && inbox.contains("g***@example.com"), "{inbox}");
    let mail = inbox.split_once("/inbox?message=").unwrap().1.split_once('"').unwrap().0;
    let mail = shop.http().get(shop.at("notification", &format!("/inbox/{mail}"))).send().await.unwrap();
    assert!(mail.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox "));
    assert!(mail.text().await.unwrap().contains("Product MUG"));
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn the_lag_of_a_killed_service_grows_and_drains_on_the_board() {
    let shop = open().await;
    shop.stock("MUG", 50).await;
    let first = shop.order("MUG", 1, "pm_card_visa").await;
    shop.notified(&first.id, "order_confirmed").await;
    let payment = r#""payment":{"members":1,"lag":0,"partitions":[4]}"#;
    read_until(&shop, "/board/stream", &["event: frame", payment]).await;
    shop.system.service("payment").kill();
    for _ in 0..3 {
        shop.order("MUG", 1, "pm_card_visa").await;
    }
    let sent = read_until(&shop, "/board/stream", &[r#""lag":3"#, "lag 3"]).await;
    assert!(sent.contains(r#"id="group-payment""#), "the table of the groups is sent too: {sent}");
    shop.system.service("payment").start().await.unwrap();
    read_until(&shop, "/board/stream", &[payment]).await;
    shop.system.quiesce().await.unwrap();
}

/// Reads frames of the board until they contain this many events; returns the largest frame's size in bytes.
async fn largest_frame(shop: &Shop, events: u64) -> usize {
    let mut stream = shop.http().get(shop.at("board", "/board/stream")).send().await.unwrap();
    let (mut sent, mut told, mut largest, mut is_coalesced) = (String::new(), 0, 0, false);
    while told < events {
        let chunk = tokio::time::timeout(system_tests::TIMEOUT, stream.chunk()).await;
        let chunk = chunk.expect("frames in time").unwrap().expect("the stream goes on");
        sent.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((message, rest)) = sent.split_once("\n\n") {
            let frame = message.strip_prefix("event: frame\ndata: ").map(|frame| {
                largest = largest.max(frame.len());
                serde_json::from_str::<Value>(frame).unwrap()
            });
            if let Some(frame) = frame {
                told += frame["events"].as_u64().unwrap();
                is_coalesced |=
                    frame["chips"].as_array().unwrap().iter().any(|chip| chip["count"].as_u64() > Some(1));
            }
            sent = rest.to_owned();
        }
    }
    assert!(is_coalesced, "no chip stands for several events");
    largest
}

#[tokio::test]
async fn two_thousand_events_per_second_are_coalesced_in_bounded_memory() {
    let shop = open().await;
    let topic = shop.system.topic("notifications");
    let flood = || system_tests::flood(shop.system.brokers(), &topic, 2000, 11);
    // More events than the board keeps.
    tokio::join!(largest_frame(&shop, 21_000), flood());
    let before = shop.memory("board").await;
    let (largest, ()) = tokio::join!(largest_frame(&shop, 21_000), flood());
    let after = shop.memory("board").await;
    assert!(largest < 64 << 10, "a frame has {largest} bytes");
    assert!(after < before + 8.0, "the board's memory grew from {before:.1} to {after:.1} MB");
}

#[tokio::test]
async fn only_the_boards_own_pages_may_send_commands_and_call_the_services() {
    let shop = open().await;
    let command = async |origin: Option<&str>| {
        let mut asked = shop.http().post(shop.at("board", "/control")).json(&json!({"command": "quorum"}));
        if let Some(origin) = origin {
            asked = asked.header("origin", origin);
        }
        asked.send().await.unwrap()
    };
    for origin in [None, Some("http://evil.example"), Some("http://evil.example:8084"), Some("null")] {
        problem(command(origin).await, 403).await;
    }
    // A foreign name that leads to the board's address.
    for (host, status) in [("evil.example:8084", 403), ("localhost:8084", 200)] {
        let asked = shop.http().get(shop.at("board", "/control")).header("host", host);
        assert_eq!(asked.send().await.unwrap().status(), status, "{host}");
    }
    // Nothing is behind the buttons of this system.
    for origin in [BOARD, "http://127.0.0.1:8084"] {
        problem(command(Some(origin)).await, 404).await;
    }
    for (service, path) in
        [("order", "/orders"), ("inventory", "/products/MUG/restock"), ("notification", "/subscriptions")]
    {
        let allowed = async |origin: &str| {
            let asked = shop
                .http()
                .request(reqwest::Method::OPTIONS, shop.at(service, path))
                .header("origin", origin);
            let asked = asked.header("access-control-request-method", "POST");
            let answer =
                asked.header("access-control-request-headers", "authorization,content-type").send().await;
            answer.unwrap().headers().get("access-control-allow-origin").cloned()
        };
        assert_eq!(allowed(BOARD).await.unwrap(), BOARD, "{service}");
        assert_eq!(allowed("http://evil.example").await, None, "{service}");
    }
}

#[tokio::test]
async fn the_inbox_is_off_by_default() {
    let shop = Shop::open().await;
    assert_eq!(page(&shop, "notification", "/inbox").await.0, 404);
}
