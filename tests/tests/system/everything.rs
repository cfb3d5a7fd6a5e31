//! Half a minute of mixed orders with retries, while each service is killed in turn; then money and stock must add up.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use system_tests::{Random, Shop, eventually, total};
use testkit::System;

const LOAD: Duration = Duration::from_secs(30);
/// The pause of a client between two orders: short enough that orders fall into each crash, long enough to check each.
const PACE: Duration = Duration::from_millis(120);
const METHODS: [&str; 6] =
    ["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_timeout", "pm_flaky", "pm_captureFails"];
const STOCK: [(&str, i64); 3] = [("MUG", 10_000), ("PEN", 40), ("HAT", 15)];

/// Places orders, repeating each request with its idempotency key until it is answered; returns the acknowledged ids.
async fn client(shop: &Shop, number: u64, seed: u64, until: Instant) -> Vec<String> {
    let mut random = Random::new(seed ^ (number << 32));
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if Instant::now() > until {
            break;
        }
        let body = json!({"email": format!("customer-{number}@example.com"), "payment_method": random.pick(&METHODS),
                          "items": [{"sku": random.pick(&STOCK).0, "quantity": 1 + random.below(2)},
                                    {"sku": random.pick(&STOCK).0, "quantity": 1}]});
        let key = format!("{seed}-{number}-{n}");
        let order = eventually("the order is answered", async || {
            let (status, order) = shop.try_order(Some(&key), &body).await;
            assert!(matches!(status, 0 | 202 | 409 | 503), "{status}: {order}");
            (status == 202).then_some(order)
        })
        .await;
        acknowledged.push(order["id"].as_str().unwrap().to_owned());
        tokio::time::sleep(PACE).await;
    }
    acknowledged
}

/// Kills each service in turn and restarts it a moment later, until the time is over.
async fn killer(shop: &Shop, seed: u64, until: Instant) {
    let mut random = Random::new(seed);
    for service in shop.system.services().cycle() {
        let (alive, dead) = (500 + random.below(1500), random.below(1000));
        tokio::time::sleep(Duration::from_millis(alive)).await;
        if Instant::now() > until {
            return;
        }
        shop.system.service(service).kill();
        tokio::time::sleep(Duration::from_millis(dead)).await;
        shop.system.service(service).start().await.unwrap();
    }
}

/// Waits until an order is in a final state, and returns it; checks its money against the gateway's own books, and that
/// the customer was notified once.
async fn final_state(shop: &Shop, id: &str) -> Value {
    let order = eventually(&format!("order {id} is in a final state"), async || {
        let order = shop.get(id).await;
        let is = |field: &str, ends: &[&str]| ends.iter().any(|end| order[field] == *end);
        let fulfilled =
            is("status", &["confirmed"]) && is("payment", &["captured"]) && is("stock", &["committed"]);
        // The stock of a cancelled order may have been committed already; it is then released, too.
        let undone = is("status", &["cancelled"])
            && is("payment", &["declined", "voided", "refunded"])
            && is("stock", &["rejected", "released"]);
        (fulfilled || undone).then_some(order)
    })
    .await;
    let payment = shop.payment(id).await;
    let kept = total(&payment["charges"]) - total(&payment["refunds"]);
    let confirmed = order["status"] == "confirmed";
    let due = if confirmed { order["total"]["amount"].as_i64().unwrap() } else { 0 };
    assert_eq!(kept, due, "{order} {payment}");
    let kind = if confirmed { "order_confirmed" } else { "order_cancelled" };
    shop.notified(id, kind).await;
    assert_eq!(shop.notifications(&format!("order_id={id}&kind={kind}")).await.len(), 1, "{order}");
    order
}

#[tokio::test]
async fn money_and_stock_add_up_after_each_service_was_killed_under_load() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()));
    println!("SEED={seed}");
    let shop = Shop::with(System::builder()).await;
    for (sku, quantity) in STOCK {
        shop.stock(sku, quantity).await;
    }
    let until = Instant::now() + LOAD;
    let clients = join_all((0..8).map(|number| client(&shop, number, seed, until)));
    let (acknowledged, ()) = futures::join!(clients, killer(&shop, seed, until));
    let acknowledged: Vec<String> = acknowledged.into_iter().flatten().collect();
    println!("{} orders acknowledged", acknowledged.len());

    let mut committed = std::collections::BTreeMap::<String, i64>::new();
    for id in &acknowledged {
        let order = final_state(&shop, id).await;
        if order["status"] == "confirmed" {
            for item in order["items"].as_array().unwrap() {
                *committed.entry(item["sku"].as_str().unwrap().to_owned()).or_default() +=
                    item["quantity"].as_i64().unwrap();
            }
        }
    }
    shop.system.quiesce().await.unwrap();
    for (sku, quantity) in STOCK {
        let sold = committed.get(sku).copied().unwrap_or_default();
        assert_eq!(shop.available(sku).await + sold, quantity, "{sku}: restocked = available + committed");
    }
}
