//! The chain is a fair comparison: it recovers, it compensates, and it charges nobody twice.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::path::Path;
use std::time::{Duration, Instant};

use chain::Chain;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use testkit::Servers;

const TIMEOUT: Duration = Duration::from_secs(30);
const UNITS: i64 = 100;

struct Shop {
    chain: Chain,
    http: reqwest::Client,
}

impl Shop {
    async fn open(name: &str, has_breaker: bool) -> Self {
        let servers = Servers::shared().await.unwrap();
        let name = format!("chain_{}_{name}", std::process::id());
        let program = Path::new(env!("CARGO_BIN_EXE_chain"));
        let chain = Chain::start(program, servers.postgres_url(), &name, has_breaker).await.unwrap();
        // The servers outlive the test: they belong to all tests of this process.
        std::mem::forget(servers);
        chain.stock("MUG", UNITS).await.unwrap();
        Self { chain, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn order(&self, method: &str, quantity: i64) -> u16 {
        let body = json!({"email": "ada@example.com", "items": [{"sku": "MUG", "quantity": quantity}], "payment_method": method});
        let post = self.http.post(format!("{}/orders", self.chain.url("order"))).json(&body);
        post.send().await.unwrap().status().as_u16()
    }

    /// Runs a query with one row in a role's database.
    async fn query(&self, role: &str, sql: &'static str) -> Value {
        let mut database = PgConnection::connect(self.chain.database_url(role)).await.unwrap();
        let rows = format!("SELECT to_jsonb(found) FROM ({sql}) AS found");
        sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&mut database).await.unwrap()
    }

    /// Waits until all orders are final, then checks that money, stock and notifications agree with them.
    async fn adds_up(&self) -> Value {
        let started = Instant::now();
        loop {
            let orders = self
                .query("order", "SELECT count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                                 count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
                                 count(*) FILTER (WHERE status NOT IN ('confirmed', 'cancelled')) AS open FROM orders")
                .await;
            let money = self
                .query("payment", "SELECT count(*) FILTER (WHERE captured_at IS NOT NULL AND reversed_at IS NULL) AS captured,
                                   count(*) FILTER (WHERE NOT declined AND captured_at IS NULL AND reversed_at IS NULL) AS held
                                   FROM authorizations")
                .await;
            let stock = self.query("inventory", "SELECT available FROM stock").await;
            let sold = self
                .query("inventory", "SELECT coalesce(sum((line ->> 'quantity')::int), 0) AS units
                                     FROM reservations, jsonb_array_elements(items) AS line WHERE status = 'committed'")
                .await;
            let agrees = orders["open"] == 0
                && money["captured"] == orders["confirmed"]
                && money["held"] == 0
                && stock["available"].as_i64().unwrap() == UNITS - sold["units"].as_i64().unwrap();
            if agrees {
                return orders;
            }
            assert!(started.elapsed() < TIMEOUT, "{orders} {money} {stock} {sold}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn an_order_is_final_when_it_is_answered() {
    let shop = Shop::open("healthy", false).await;
    assert_eq!(shop.order("pm_card_visa", 1).await, 201);
    assert_eq!(shop.order("pm_card_chargeDeclined", 1).await, 402);
    assert_eq!(shop.order("pm_card_visa", 1000).await, 409, "sold out");
    assert_eq!(shop.adds_up().await, json!({"confirmed": 1, "cancelled": 2, "open": 0}));
    let notified = shop.query("notification", "SELECT count(*) AS messages FROM deliveries").await;
    assert_eq!(notified["messages"], 1);
}

#[tokio::test]
async fn a_dead_last_role_fails_all_orders_and_nobody_is_charged() {
    let mut shop = Shop::open("dead", false).await;
    shop.chain.kill("notification").await.unwrap();
    assert_eq!(shop.order("pm_card_visa", 1).await, 503);
    let orders = shop.adds_up().await;
    assert_eq!((&orders["confirmed"], &orders["cancelled"]), (&json!(0), &json!(1)));
    shop.chain.restart("notification").await.unwrap();
    assert_eq!(shop.order("pm_card_visa", 1).await, 201, "it recovers");
}

#[tokio::test]
async fn a_slow_gateway_times_orders_out_and_charges_nobody_twice() {
    let shop = Shop::open("slow", false).await;
    shop.chain.set_gateway_latency(3_000).await.unwrap();
    assert_eq!(shop.order("pm_card_visa", 1).await, 503);
    shop.chain.set_gateway_latency(0).await.unwrap();
    assert_eq!(shop.order("pm_card_visa", 1).await, 201);
    assert_eq!(shop.adds_up().await, json!({"confirmed": 1, "cancelled": 1, "open": 0}));
}

#[tokio::test]
async fn an_order_of_a_killed_process_is_cancelled_after_its_restart() {
    let mut shop = Shop::open("killed", false).await;
    shop.chain.set_gateway_latency(1_500).await.unwrap();
    // Long enough that the gateway is being asked when the processes are killed.
    let order = tokio::time::timeout(Duration::from_millis(700), shop.order("pm_card_visa", 1)).await;
    assert!(order.is_err(), "answered before the kill");
    shop.chain.kill("payment").await.unwrap();
    shop.chain.kill("order").await.unwrap();
    shop.chain.restart("payment").await.unwrap();
    shop.chain.restart("order").await.unwrap();
    assert_eq!(shop.adds_up().await, json!({"confirmed": 0, "cancelled": 1, "open": 0}));
}

#[tokio::test]
async fn an_open_breaker_fails_at_once_and_closes_when_the_role_is_back() {
    let mut shop = Shop::open("breaker", true).await;
    shop.chain.kill("payment").await.unwrap();
    for _ in 0..5 {
        assert_eq!(shop.order("pm_card_visa", 1).await, 503);
    }
    shop.chain.restart("payment").await.unwrap();
    let started = Instant::now();
    while shop.order("pm_card_visa", 1).await != 201 {
        assert!(started.elapsed() < TIMEOUT);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    shop.adds_up().await;
}
