//! Each right that a service prints is needed: without it, the service says what is missing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use system_tests::{Forged, Shop, eventually};
use testkit::{Servers, System, users};

const GRACE: Duration = Duration::from_secs(10);
/// The time after which a service that has all rights no longer complains. It looks at topics for ten seconds before it says that
/// it may not read their settings.
const LASTING: Duration = Duration::from_secs(20);

/// Returns whether the service complains: it does not consume or publish, or cannot compare its topics.
async fn complains(shop: &Shop, service: &str) -> bool {
    let url = format!("{}/health/consuming", shop.system.ops_url(service, 1));
    let Ok(answer) = shop.http().get(url).send().await else { return true };
    let health: Value = answer.json().await.unwrap_or_default();
    health["ok"] != true || health["checks"]["topics"]["detail"] != Value::Null
}

/// Makes the service use each of its rights: it restarts, publishes, consumes, and has a dead letter.
async fn exercise(shop: &Shop, service: &str, round: usize) {
    let daemon = shop.system.service(service);
    daemon.stop(GRACE).await;
    daemon.start().await.unwrap();
    let key = format!("poison-{round}");
    shop.publish(&Forged::new("orders", &key, "/order", "order.placed.v1").with_value("{")).await;
    shop.order("MUG", 1, "pm_card_visa").await;
}

#[tokio::test]
#[ignore = "takes minutes: ./scripts/test-cluster"]
async fn without_any_one_of_its_rights_payment_says_so() {
    let servers = Servers::guarded(users::all(&[]).unwrap()).await.unwrap();
    let shop = Shop::with(System::builder().built().servers(Arc::clone(&servers))).await;
    shop.system.leave_queues();
    shop.stock("MUG", 1000).await;
    let rights = users::rights(&shop.system, "payment", &[]).await.unwrap();
    assert!(!rights.is_empty());
    for (round, right) in rights.iter().enumerate() {
        users::withdraw(&shop.system, std::slice::from_ref(right)).await.unwrap();
        exercise(&shop, "payment", round).await;
        eventually(&format!("payment complains without {right}"), async || {
            complains(&shop, "payment").await.then_some(())
        })
        .await;
        // A service that starts complains for a moment. Without the right it does so for good.
        tokio::time::sleep(LASTING).await;
        assert!(complains(&shop, "payment").await, "payment works without {right}");
        users::restore(&shop.system, std::slice::from_ref(right)).await.unwrap();
        shop.system.service("payment").stop(GRACE).await;
        shop.system.service("payment").start().await.unwrap();
        eventually(&format!("payment works with {right} again"), async || {
            (!complains(&shop, "payment").await).then_some(())
        })
        .await;
    }
}
