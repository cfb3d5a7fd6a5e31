//! Each right that a service prints is needed: without it, the service says what is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use system_tests::{Forged, Shop, eventually};
use testkit::users::{self, Acl};
use testkit::{Login, Servers, System};

const GRACE: Duration = Duration::from_secs(10);
/// The time after which a service that has all rights no longer complains. It looks at topics for ten seconds before it says that
/// it may not read their settings.
const LASTING: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(200);

/// Returns whether the service complains: it does not consume or publish, or cannot compare its topics.
async fn complains(shop: &Shop, service: &str) -> bool {
    let Some((_, health)) = shop.health(service, 1, "consuming").await else { return true };
    health["ok"] != true || health["checks"]["topics"]["detail"] != Value::Null
}

async fn restart(shop: &Shop, service: &str) {
    let daemon = shop.system.service(service);
    daemon.stop(GRACE).await;
    daemon.spawn().unwrap();
}

/// A record that becomes a dead letter of the services that consume it: topic, source and type.
type Poison = [&'static str; 3];

const BROKEN_ORDER: Poison = ["orders", "/order", "order.placed.v1"];
const BROKEN_PAYMENT: Poison = ["payments", "/payment", "payment.authorized.v1"];

/// Makes a service use each of its rights: it starts, gets a record that becomes a dead letter, and all services handle a new
/// product, its restock and an order.
async fn exercise(shop: &Shop, service: &str, [topic, source, event]: Poison, round: usize) {
    restart(shop, service).await;
    let key = format!("poison-{round}");
    shop.publish(&Forged::new(topic, &key, source, event).with_value("{")).await;
    let product = format!("{}/products/MUG-{round}", shop.system.url("inventory"));
    let put = json!({"name": "Mug", "price": {"amount": 1299, "currency": "EUR"}});
    let put = shop.operator(shop.http().put(&product)).json(&put);
    let restock = shop.operator(shop.http().post(format!("{product}/restock"))).json(&json!({"quantity": 1}));
    let order = json!({"email": format!("round-{round}@example.com"), "payment_method": "pm_card_visa",
                       "items": [{"sku": "MUG", "quantity": 1}]});
    let order = shop.http().post(shop.at("order", "/orders")).json(&order);
    for request in [put, restock, order] {
        accepted(&request).await;
    }
}

/// Repeats a request until it is accepted, at most for ten seconds: without a right, a service may accept none.
async fn accepted(request: &RequestBuilder) {
    let started = Instant::now();
    let attempt = async || request.try_clone()?.send().await.ok()?.error_for_status().ok();
    while attempt().await.is_none() && started.elapsed() < GRACE {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the service complains for good, and not only while it starts.
async fn complains_for_good(shop: &Shop, service: &str) -> bool {
    tokio::time::sleep(LASTING).await;
    let started = Instant::now();
    let mut complaint = complains(shop, service).await;
    while !complaint && started.elapsed() < LASTING {
        tokio::time::sleep(AGAIN).await;
        complaint = complains(shop, service).await;
    }
    complaint
}

/// Withdraws each right of a service, one at a time. Returns those without which it does not complain.
async fn needless_rights(servers: &Arc<Servers>, service: &str, poison: Poison) -> Vec<Acl> {
    // A system for each service: when one does not publish, the others have nothing to do for which they need their rights.
    let shop = Shop::with(System::builder().built().servers(Arc::clone(servers))).await;
    shop.system.leave_queues();
    shop.stock("MUG", 1000).await;
    let rights = users::rights(&shop.system, service, &[]).await.unwrap();
    assert!(!rights.is_empty());
    let mut needless = Vec::new();
    for (round, right) in rights.iter().enumerate() {
        users::withdraw(&shop.system, std::slice::from_ref(right)).await.unwrap();
        exercise(&shop, service, poison, round).await;
        if !complains_for_good(&shop, service).await {
            needless.push(right.clone());
        }
        users::restore(&shop.system, std::slice::from_ref(right)).await.unwrap();
        restart(&shop, service).await;
        eventually(&format!("{service} works with {right} again"), async || {
            (!complains(&shop, service).await).then_some(())
        })
        .await;
    }
    println!("{service}: {} rights", rights.len());
    needless
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn without_any_one_of_its_rights_a_service_says_so() {
    let servers = Servers::guarded(users::all(&[]).unwrap(), Login::default()).await.unwrap();
    let services = [
        ("order", BROKEN_PAYMENT),
        ("payment", BROKEN_ORDER),
        ("inventory", BROKEN_ORDER),
        ("notification", BROKEN_ORDER),
    ];
    let each = services.iter().map(|(service, poison)| needless_rights(&servers, service, *poison));
    let needless = futures::future::join_all(each).await;
    let needless: Vec<String> = needless.iter().flatten().map(ToString::to_string).collect();
    assert!(needless.is_empty(), "a service does not complain without: {}", needless.join(", "));
}
