//! What one request caused can be followed through all services, in a collector of traces.

use futures::future::join_all;
use serde_json::json;
use stack::System;
use system_tests::{Collector, PATIENCE, Shop, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn one_order_is_one_trace_through_all_services() {
    let collector = Collector::open().await;
    let builder = System::builder().env_all("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    let post = shop.http().post(format!("{}/orders", shop.system.url("order"))).json(&body);
    let answer = post.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).send().await.unwrap();
    assert_eq!(answer.status(), 202);
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
async fn what_was_handled_together_is_linked() {
    let collector = Collector::open().await;
    let builder = System::builder().env_all("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 1000).await;
    shop.system.service("inventory").stop(PATIENCE).await;
    let orders = join_all((0..20).map(|_| shop.order("MUG", 1, "pm_card_visa"))).await;
    shop.system.service("inventory").start().await.unwrap();
    for order in &orders {
        shop.confirmed(&order.id).await;
    }
    eventually("a span of a batch that links to several traces", async || {
        let of_batch =
            |span: &system_tests::Recorded| span.service == "inventory" && span.name == "process orders";
        collector.all().into_iter().find(|span| of_batch(span) && span.links.len() > 1)
    })
    .await;
}
