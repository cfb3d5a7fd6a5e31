//! A request can be followed through all services: in a trace collector and in the logs.

use futures::future::join_all;
use serde_json::{Value, json};
use system_tests::{Collector, Shop, TIMEOUT, eventually};
use testkit::System;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Places an order as part of the trace, and returns its id.
async fn traced_order(shop: &Shop) -> String {
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let post = shop.http().post(format!("{}/orders", shop.system.url("order"))).json(&body);
    let answer = post.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_order_is_one_trace_through_all_services() {
    let collector = Collector::open().await;
    let builder = System::builder().env_all("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    traced_order(&shop).await;
    let expected = [
        ("order", "POST /orders"),
        ("payment", "process orders"),
        ("inventory", "process orders"),
        ("order", "process payments"),
        ("notification", "process orders"),
    ];
    for (service, name) in expected {
        eventually(&format!("{name} of {service} is in the trace"), async || {
            let spans = collector.trace(TRACE);
            spans.into_iter().find(|span| span.service == service && span.name == name)
        })
        .await;
    }
}

#[tokio::test]
async fn the_span_of_a_batch_links_to_the_traces_of_its_records() {
    let collector = Collector::open().await;
    let builder = System::builder().env_all("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    shop.system.service("inventory").stop(TIMEOUT).await;
    let orders = join_all((0..20).map(|_| shop.order("MUG", 1, "pm_card_visa"))).await;
    shop.system.service("inventory").start().await.unwrap();
    for order in &orders {
        shop.confirmed(&order.id).await;
    }
    eventually("a batch's span that links to several traces", async || {
        let of_batch =
            |span: &system_tests::Recorded| span.service == "inventory" && span.name == "process orders";
        collector.all().into_iter().find(|span| of_batch(span) && span.links.len() > 1)
    })
    .await;
}

#[tokio::test]
async fn json_logs_contain_order_event_and_trace() {
    let shop = Shop::with(System::builder().env_all("LOG_FORMAT", "json")).await;
    shop.stock("MUG", 1000).await;
    let id = traced_order(&shop).await;
    shop.confirmed(&id).await;
    shop.notified(&id, "order_confirmed").await;
    for (service, expected) in [
        ("order", ["order.placed.v1", "order.confirmed.v1"].as_slice()),
        ("payment", &["payment.authorized.v1", "payment.captured.v1"]),
        ("inventory", &["stock.reserved.v1", "stock.committed.v1"]),
        ("notification", &[]),
    ] {
        let log = std::fs::read_to_string(shop.system.service(service).log()).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines: Vec<Value> = lines.filter(|line| line["order_id"] == id).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line["trace_id"] == TRACE),
            "{service}: {lines:?}"
        );
        let types = lines.iter().filter_map(|line| line["event_type"].as_str());
        assert_eq!(types.collect::<Vec<_>>(), expected, "{service}");
    }
}
