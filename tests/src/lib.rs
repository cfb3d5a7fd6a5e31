//! The shop as its customers and its operator see it: HTTP in, conditions awaited, nothing of a service's inside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test helper panics"
)]

mod collector;
mod forge;
mod mail;
mod personal;
mod problem;
mod subscribers;
mod wait;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use stack::{Builder, System};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use collector::{Collector, Recorded};
pub use forge::{Forged, run};
pub use mail::{At, Inbox, Mail, Mood};
pub use personal::tables_with;
pub use problem::problem;
pub use subscribers::{BACK, mailing};
pub use wait::{PATIENCE, eventually};

/// A running system and an HTTP client.
pub struct Shop {
    /// The processes, to break.
    pub system: System,
    http: Client,
}

/// An order as its customer got it.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// What cancels it.
    pub cancel_token: String,
}

impl Shop {
    /// One instance of each service.
    pub async fn open() -> Self {
        Self::with(System::builder()).await
    }

    /// A system with something changed.
    pub async fn with(builder: Builder) -> Self {
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { system: builder.start().await.expect("the system starts"), http }
    }

    /// The client, for requests that no method here makes.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// The URL of a path at a service's door.
    pub fn at(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.system.url(service))
    }

    /// A request of the operator.
    pub fn operator(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.system.admin_token())
    }

    /// Lists a product at 12.99 EUR with so many in stock, and waits until it can be ordered.
    pub async fn stock(&self, sku: &str, quantity: i64) {
        let inventory = self.system.url("inventory");
        let product = json!({"name": format!("Product {sku}"), "price": {"amount": 1299, "currency": "EUR"}});
        let put = self.http.put(format!("{inventory}/products/{sku}")).json(&product);
        let answer = self.operator(put).send().await.unwrap();
        assert!(answer.status().is_success(), "PUT /products/{sku}: {}", answer.text().await.unwrap());
        if quantity > 0 {
            self.restock(sku, quantity).await;
        }
        // The order service prices from its own copy, which follows.
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

    /// Adds stock.
    pub async fn restock(&self, sku: &str, quantity: i64) {
        let inventory = self.system.url("inventory");
        let post = self.http.post(format!("{inventory}/products/{sku}/restock"));
        let answer = self.operator(post.json(&json!({"quantity": quantity}))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "restock {sku}: {}", answer.text().await.unwrap());
    }

    /// How many can be ordered, as inventory says.
    pub async fn available(&self, sku: &str) -> i64 {
        let url = format!("{}/products/{sku}", self.system.url("inventory"));
        let product: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        product["available"].as_i64().unwrap_or_else(|| panic!("GET /products/{sku}: {product}"))
    }

    /// `POST /orders` as it is: status and body (`Value::Null` when there is no answer).
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

    /// Orders, and expects it to be taken.
    pub async fn order(&self, sku: &str, quantity: i64, payment_method: &str) -> Placed {
        let body = json!({"email": "ada@example.com", "payment_method": payment_method,
                          "items": [{"sku": sku, "quantity": quantity}]});
        let (status, order) = self.try_order(None, &body).await;
        assert_eq!(status, 202, "POST /orders: {order}");
        let text =
            |field: &str| order[field].as_str().unwrap_or_else(|| panic!("{field} in {order}")).to_owned();
        Placed { id: text("id"), cancel_token: text("cancel_token") }
    }

    /// The order as `GET /orders/{id}` shows it.
    pub async fn get(&self, id: &str) -> Value {
        let url = format!("{}/orders/{id}", self.system.url("order"));
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the order is confirmed, its payment captured and its goods committed.
    pub async fn confirmed(&self, id: &str) -> Value {
        self.ends(id, ["confirmed", "captured", "committed"]).await
    }

    /// Waits until status, payment and stock of the order are these.
    pub async fn ends(&self, id: &str, [status, payment, stock]: [&str; 3]) -> Value {
        eventually(&format!("order {id} is {status}, {payment}, {stock}"), async || {
            let order = self.get(id).await;
            let ended = order["status"] == status && order["payment"] == payment && order["stock"] == stock;
            assert!(in_order_of_time(&order["history"]), "{order}");
            ended.then_some(order)
        })
        .await
    }

    /// The notifications that match, as the operator sees them.
    pub async fn notifications(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/notifications?{query}", self.system.url("notification"));
        let page: Value = self.operator(self.http.get(url)).send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap_or_else(|| panic!("GET /notifications: {page}")).clone()
    }

    /// Waits until the customer was told of this order in this way, and returns the row.
    pub async fn told(&self, id: &str, kind: &str) -> Value {
        eventually(&format!("{kind} of order {id} is sent"), async || {
            let rows = self.notifications(&format!("order_id={id}&kind={kind}")).await;
            rows.into_iter().find(|row| row["status"] == "sent")
        })
        .await
    }
}

/// Whether each line of a history was written after the one before.
fn in_order_of_time(history: &Value) -> bool {
    let times = history.as_array().into_iter().flatten().filter_map(|entry| entry["at"].as_str());
    times.map(|at| OffsetDateTime::parse(at, &Rfc3339).unwrap()).is_sorted()
}
