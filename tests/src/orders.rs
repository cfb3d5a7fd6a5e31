//! Orders and their payments: the requests of customers and of the operator.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::Shop;

/// The answer to a placed order.
#[derive(Debug, Clone)]
pub struct Placed {
    pub id: String,
    /// The token that cancels the order.
    pub cancel_token: String,
}

impl Shop {
    /// Places an order with this body and expects 202.
    pub async fn place(&self, body: &Value) -> Placed {
        let (status, order) = self.try_order(None, body).await;
        assert_eq!(status, 202, "POST /orders {body}: {order}");
        Placed::from_answer(&order)
    }

    /// Places an order of `email` and expects 202.
    pub async fn order_of(&self, email: &str, sku: &str, quantity: i64, payment_method: &str) -> Placed {
        let items = json!([{"sku": sku, "quantity": quantity}]);
        self.place(&json!({"email": email, "payment_method": payment_method, "items": items})).await
    }

    /// Places an order of Ada and expects 202.
    pub async fn order(&self, sku: &str, quantity: i64, payment_method: &str) -> Placed {
        self.order_of("ada@example.com", sku, quantity, payment_method).await
    }

    /// Orders a sold-out product with `notify_me`, and waits until the order is cancelled.
    pub async fn order_sold_out(&self, email: &str, sku: &str, quantity: i64) -> Placed {
        let items = json!([{"sku": sku, "quantity": quantity}]);
        let body =
            json!({"email": email, "payment_method": "pm_card_visa", "notify_me": true, "items": items});
        let placed = self.place(&body).await;
        self.ends(&placed.id, ["cancelled", "voided", "rejected"]).await;
        placed
    }

    /// Cancels an order with its token, expects 202, and returns the order.
    pub async fn cancel(&self, placed: &Placed) -> Value {
        let post = self.http().post(self.at("order", &format!("/orders/{}/cancel", placed.id)));
        let answer = post.bearer_auth(&placed.cancel_token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.json().await.unwrap()
    }

    /// Cancels a confirmed order, and waits until it is refunded and its stock released.
    pub async fn refund(&self, placed: &Placed) {
        self.cancel(placed).await;
        self.ends(&placed.id, ["cancelled", "refunded", "released"]).await;
    }

    /// Makes the payment gateway fail every call, or work again.
    pub async fn set_gateway_outage(&self, outage: bool) {
        let put = self.http().put(self.at("payment", "/gateway"));
        let put = put.json(&json!({"latency_ms": 0, "outage": outage}));
        assert!(self.operator(put).send().await.unwrap().status().is_success());
    }

    /// Returns the operator's view of an order's payment.
    pub async fn payment(&self, id: &str) -> Value {
        let get = self.http().get(self.at("payment", &format!("/payments/{id}")));
        self.operator(get).send().await.unwrap().json().await.unwrap_or_default()
    }
}

impl Placed {
    /// Reads the answer to `POST /orders`.
    pub fn from_answer(order: &Value) -> Self {
        let text =
            |field: &str| order[field].as_str().unwrap_or_else(|| panic!("{field} in {order}")).to_owned();
        Self { id: text("id"), cancel_token: text("cancel_token") }
    }
}

/// Returns the sum of the amounts in a payment's charges or refunds.
pub fn total(entries: &Value) -> i64 {
    entries.as_array().unwrap().iter().map(|entry| entry["amount"]["amount"].as_i64().unwrap()).sum()
}
