//! Orders that are placed all the time while a test breaks the cluster, and the check of what became of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::{Shop, total};
use testkit::{Servers, System};
use tokio_util::sync::CancellationToken;

const STOCK: i64 = 1_000_000;
/// The pause between two orders of one customer, and the number of customers.
const PAUSE: Duration = Duration::from_millis(50);
const CUSTOMERS: usize = 4;
/// A price in the smallest unit of its currency (`Shop::stock`).
const PRICE: i64 = 1299;

/// Runs a system on three brokers under load, breaks it, and checks that each order that was accepted is confirmed, charged
/// and shipped exactly once. Prints the number of orders and the longest time from an order to its confirmation.
pub(crate) async fn under_load(what: &str, broken: impl AsyncFnOnce(&Shop, &Servers)) {
    under_load_on(Servers::three_brokers().await.unwrap(), what, broken).await;
}

/// Does the same on these three brokers.
pub(crate) async fn under_load_on(
    servers: Arc<Servers>,
    what: &str,
    broken: impl AsyncFnOnce(&Shop, &Servers),
) {
    let shop = Shop::with(System::builder().built().servers(Arc::clone(&servers))).await;
    shop.stock("MUG", STOCK).await;
    let closing = CancellationToken::new();
    let customers = futures::future::join_all((0..CUSTOMERS).map(|_| customer(&shop, &closing)));
    let breaking = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        broken(&shop, &servers).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        closing.cancel();
    };
    let (orders, ()) = tokio::join!(customers, breaking);
    let orders: Vec<Order> = orders.into_iter().flatten().collect();
    let mut longest = Duration::ZERO;
    for order in &orders {
        longest = longest.max(confirmed_after(&shop, order).await);
    }
    shop.system.quiesce().await.unwrap();
    for order in &orders {
        assert_eq!(total(&shop.payment(&order.id).await["charges"]), PRICE, "{} is charged once", order.id);
    }
    let sold = i64::try_from(orders.len()).unwrap();
    assert_eq!(shop.available("MUG").await, STOCK - sold, "each order takes its stock once");
    for service in shop.system.services() {
        let gaps = shop.metric(service, "consumer_gaps_total").await.unwrap_or_default();
        assert!(gaps == 0.0, "{service} counts {gaps} gaps in the sequences of a key");
    }
    println!("| {what} | {sold} | {:.1} s |", longest.as_secs_f32());
}

/// An accepted order.
struct Order {
    id: String,
    placed: Instant,
}

/// Places orders until `closing`: the order service takes them also while Kafka is away.
async fn customer(shop: &Shop, closing: &CancellationToken) -> Vec<Order> {
    let mut orders = Vec::new();
    let body = json!({"email": "ada@example.com", "payment_method": "pm_card_visa",
                      "items": [{"sku": "MUG", "quantity": 1}]});
    while !closing.is_cancelled() {
        let (status, answer) = shop.try_order(None, &body).await;
        assert_eq!(status, 202, "orders need no Kafka: {answer}");
        orders.push(Order { id: answer["id"].as_str().unwrap().to_owned(), placed: Instant::now() });
        tokio::time::sleep(PAUSE).await;
    }
    orders
}

/// Waits until the order is confirmed, and returns how long that took by the order's own history.
async fn confirmed_after(shop: &Shop, order: &Order) -> Duration {
    let found = shop.confirmed(&order.id).await;
    let at = |name: &str| {
        let event = found["history"].as_array().unwrap().iter().find(|event| event["type"] == name).unwrap();
        time::OffsetDateTime::parse(
            event["at"].as_str().unwrap(),
            &time::format_description::well_known::Rfc3339,
        )
        .unwrap()
    };
    let took = at("order.confirmed.v1") - at("order.placed.v1");
    took.try_into().unwrap_or(order.placed.elapsed())
}
