//! The shop as customers and the operator see it. Tests send HTTP requests and wait on conditions; they use nothing
//! inside a service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test helper panics"
)]
#![expect(missing_docs, reason = "a name says what a helper does")]

mod clock;
mod collector;
mod forge;
mod mail;
mod orders;
mod personal;
mod problem;
mod random;
mod subscribers;
mod wait;

use std::process::Output;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::{Builder, System};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use clock::WrongClock;
pub use collector::{Collector, Recorded};
pub use forge::{Forged, flood};
pub use mail::{At, Inbox, Mail, Reaction};
pub use orders::{Placed, total};
pub use personal::tables_with;
pub use problem::problem;
pub use random::Random;
pub use subscribers::{BACK, mailing};
pub use wait::{TIMEOUT, eventually, within_timeout};

/// A running system and an HTTP client.
pub struct Shop {
    /// The processes, which a test may break.
    pub system: System,
    http: Client,
}

impl Shop {
    /// Starts one instance of each service.
    pub async fn open() -> Self {
        Self::with(System::builder()).await
    }

    pub async fn with(builder: Builder) -> Self {
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { system: builder.start().await.expect("the system starts"), http }
    }

    /// The HTTP client, for requests that no method here sends.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Returns the value of a metric of a service's first instance.
    pub async fn metric(&self, service: &str, name: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.system.ops_url(service, 1));
        let metrics = self.http.get(url).send().await.ok()?.text().await.ok()?;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Returns the resident memory of a service's first instance, in MB; infinite when it does not answer.
    pub async fn memory(&self, service: &str) -> f64 {
        self.metric(service, "process_resident_memory_bytes ").await.unwrap_or(f64::INFINITY) / 1e6
    }

    /// Returns the status and the body of a health check (`ready`, `consuming`) of an instance; `None` without an answer.
    pub async fn health(&self, service: &str, number: usize, check: &str) -> Option<(StatusCode, Value)> {
        let url = format!("{}/health/{check}", self.system.ops_url(service, number));
        let answer = self.http.get(url).send().await.ok()?;
        Some((answer.status(), answer.json().await.ok()?))
    }

    /// The URL of a path of a service's API.
    pub fn at(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.system.url(service))
    }

    /// Adds the operator's token to a request.
    pub fn operator(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.system.admin_token())
    }

    /// Lists a product at 12.99 EUR with this stock, and waits until it can be ordered.
    pub async fn stock(&self, sku: &str, quantity: i64) {
        let inventory = self.system.url("inventory");
        let product = json!({"name": format!("Product {sku}"), "price": {"amount": 1299, "currency": "EUR"}});
        let put = self.http.put(format!("{inventory}/products/{sku}")).json(&product);
        let answer = self.operator(put).send().await.unwrap();
        assert!(answer.status().is_success(), "PUT /products/{sku}: {}", answer.text().await.unwrap());
        if quantity > 0 {
            self.restock(sku, quantity).await;
        }
        // The order service has its own copy of the prices, which is updated later.
        eventually(&format!("{sku} can be ordered"), async || {
            let probe = json!({"email": "probe@example.com", "payment_method": "pm_card_visa",
                               "items": [{"sku": sku, "quantity": 1}, {"sku": "NO-SUCH-PRODUCT", "quantity": 1}]});
            let (_, problem) = self.try_order(None, &probe).await;
            let errors = problem["errors"].as_array().cloned().unwrap_or_default();
            let known = !errors.is_empty() && errors.iter().all(|error| error["pointer"] != "/items/0/sku");
            known.then_some(())
        })
        .await;
    }

    pub async fn restock(&self, sku: &str, quantity: i64) {
        let inventory = self.system.url("inventory");
        let post = self.http.post(format!("{inventory}/products/{sku}/restock"));
        let answer = self.operator(post.json(&json!({"quantity": quantity}))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "restock {sku}: {}", answer.text().await.unwrap());
    }

    /// Returns the available quantity that the inventory service reports.
    pub async fn available(&self, sku: &str) -> i64 {
        let url = format!("{}/products/{sku}", self.system.url("inventory"));
        let product: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        product["available"].as_i64().unwrap_or_else(|| panic!("GET /products/{sku}: {product}"))
    }

    /// Sends `POST /orders` and returns status and body; 0 and `Value::Null` when there is no answer.
    pub async fn try_order(&self, key: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = self.http.post(format!("{}/orders", self.system.url("order"))).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or_default()),
            Err(_) => (0, Value::Null),
        }
    }

    /// Returns the order that `GET /orders/{id}` shows.
    pub async fn get(&self, id: &str) -> Value {
        let url = format!("{}/orders/{id}", self.system.url("order"));
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the order is confirmed, its payment captured and its stock committed.
    pub async fn confirmed(&self, id: &str) -> Value {
        self.ends(id, ["confirmed", "captured", "committed"]).await
    }

    /// Waits until status, payment and stock of the order have these values.
    pub async fn ends(&self, id: &str, [status, payment, stock]: [&str; 3]) -> Value {
        let mut last = Value::Null;
        let ended = within_timeout(async || {
            let order = self.get(id).await;
            let ended = order["status"] == status && order["payment"] == payment && order["stock"] == stock;
            assert!(in_order_of_time(&order["history"]), "{order}");
            last = order.clone();
            ended.then_some(order)
        });
        ended.await.unwrap_or_else(|| {
            panic!("not within {TIMEOUT:?}: order {id} is {status}, {payment}, {stock}; it is {last}")
        })
    }

    /// Returns the notifications that match a query of the operator.
    pub async fn notifications(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/notifications?{query}", self.system.url("notification"));
        let page: Value = self.operator(self.http.get(url)).send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap_or_else(|| panic!("GET /notifications: {page}")).clone()
    }

    /// Waits until a notification of this kind is sent for the order, and returns it.
    pub async fn notified(&self, id: &str, kind: &str) -> Value {
        eventually(&format!("{kind} of order {id} is sent"), async || {
            let rows = self.notifications(&format!("order_id={id}&kind={kind}")).await;
            rows.into_iter().find(|row| row["status"] == "sent")
        })
        .await
    }
}

/// Runs a command of a service. Returns its standard output when it succeeds, else its standard error.
pub async fn run(shop: &Shop, service: &str, arguments: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        shop.system.command(service).args(arguments).output().await.unwrap();
    let (output, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    if !status.success() {
        return Err(errors);
    }
    assert!(
        errors.is_empty() && !output.contains("ERROR"),
        "unexpected output of {service} {arguments:?}:\n{errors}{output}"
    );
    Ok(output)
}

/// Whether the entries of a history are sorted by time.
fn in_order_of_time(history: &Value) -> bool {
    let times = history.as_array().into_iter().flatten().filter_map(|entry| entry["at"].as_str());
    times.map(|at| OffsetDateTime::parse(at, &Rfc3339).unwrap()).is_sorted()
}
