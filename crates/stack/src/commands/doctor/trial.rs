//! One order from its placing to its mail, and back: who holds it is told by what the order lacks.

use super::{Doctor, fine, shortened};
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An order takes a moment; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// An order as its owner sees it, and whether its mail is out.
struct Seen {
    order: Value,
    told: bool,
}

impl Doctor {
    pub(super) async fn try_an_order(&mut self, email: &str) -> anyhow::Result<()> {
        let Some(sku) = self.something_to_order().await else { return Ok(()) };
        let body =
            json!({"email": email, "items": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa"});
        let url = format!("{}/orders", self.url("order")?);
        let placed = match self.client.post(&url).json(&body).send().await {
            Ok(answer) if answer.status() == 202 => answer.json::<Value>().await?,
            Ok(answer) => {
                let (status, why) = (answer.status(), reason(&answer.text().await.unwrap_or_default()));
                self.wrong(format_args!("order takes no order: {status}: {why}"));
                return Ok(());
            }
            Err(error) => {
                self.wrong(format_args!("order takes no order: {error}"));
                return Ok(());
            }
        };
        let started = Instant::now();
        if self.follow(&placed, "through", |seen| seen.told && holder(&seen.order).is_none()).await? {
            let seconds = started.elapsed().as_secs_f32();
            fine(format_args!("an order for one {sku} went all the way to its mail in {seconds:.1} s"));
        }
        self.give_back(&placed).await
    }

    /// A product that there is, best one in stock.
    async fn something_to_order(&mut self) -> Option<String> {
        let url = format!("{}/products", self.url("inventory").ok()?);
        let listed = match self.client.get(&url).send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
            Err(error) => {
                self.wrong(format_args!("no order is tried: inventory does not say what there is: {error}"));
                return None;
            }
        };
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let in_stock = items.iter().find(|item| item["available"].as_i64() > Some(0));
        let sku = in_stock.or(items.first()).and_then(|item| item["sku"].as_str());
        if sku.is_none() {
            self.wrong("no order is tried: there is no product yet (PUT /products/SKU at inventory)");
        }
        sku.map(str::to_owned)
    }

    /// Undone, it leaves its rows and no more.
    async fn give_back(&mut self, placed: &Value) -> anyhow::Result<()> {
        let url = format!("{}/orders/{}/cancel", self.url("order")?, text(&placed["id"]));
        let token = format!("Bearer {}", text(&placed["cancel_token"]));
        let answer = self.client.post(&url).header(AUTHORIZATION, token).send().await?;
        if !answer.status().is_success() {
            self.wrong(format_args!("it could not be cancelled: {}", answer.status()));
            return Ok(());
        }
        let done = |seen: &Seen| seen.order["status"] == "cancelled" && holder(&seen.order).is_none();
        if self.follow(placed, "cancelled", done).await? {
            fine("it was cancelled: the money and the goods are back");
        }
        Ok(())
    }

    /// Looks until it is done; else says who holds it.
    async fn follow(
        &mut self,
        placed: &Value,
        what: &str,
        done: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<bool> {
        let deadline = Instant::now() + LIMIT;
        let id = text(&placed["id"]);
        loop {
            let seen = self.look(id).await?;
            if done(&seen) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                self.explain(id, what, &seen).await?;
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn look(&self, id: &str) -> anyhow::Result<Seen> {
        let order = self.client.get(format!("{}/orders/{id}", self.url("order")?)).send().await;
        let order = match order {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let mails = format!("{}/notifications?order_id={id}", self.url("notification")?);
        let mails: Value = match self.client.get(mails).bearer_auth(&self.token).send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let rows = mails["items"].as_array().cloned().unwrap_or_default();
        Ok(Seen { order, told: !rows.is_empty() && rows.iter().all(|row| row["status"] == "sent") })
    }

    /// Names the hop, and what there is to know of it.
    async fn explain(&mut self, id: &str, what: &str, Seen { order, .. }: &Seen) -> anyhow::Result<()> {
        let (service, waits) = holder(order).unwrap_or(("notification", "its mail is not out"));
        let mut known = match self.waiting(service).await {
            Ok(waiting) => shortened(waiting),
            Err(error) => vec![error.to_string()],
        };
        if service != "order" {
            let unpublished = self.waiting("order").await.unwrap_or_default();
            known.extend(unpublished.into_iter().filter(|what| what.contains("outbox")));
        }
        if service == "payment" {
            let url = format!("{}/payments/{id}", self.url("payment")?);
            let asked = self.client.get(url).bearer_auth(&self.token).send().await;
            if let Some(answer) = asked.ok().filter(|answer| answer.status().is_success()) {
                known.push(state(&answer.json().await.unwrap_or_default()));
            }
        }
        let (known, seconds) = (known.join(", "), LIMIT.as_secs());
        self.wrong(format_args!(
            "order {id} is not {what} after {seconds} s; {service} holds it: {waits} ({known}); ./scripts/logs {service}"
        ));
        Ok(())
    }
}

/// How a payment stands, as `GET /payments/{order_id}` tells.
fn state(payment: &Value) -> String {
    let (status, attempts) = (text(&payment["status"]), &payment["attempts"]);
    match (status, attempts.as_i64()) {
        ("pending", Some(1..)) => {
            format!("the payment gateway was called {attempts} times and has not given an answer")
        }
        _ => format!("the payment is {status} after {attempts} calls of the gateway"),
    }
}

/// What a problem (RFC 9457) says of itself, field by field where it does; any other answer as it is.
fn reason(answer: &str) -> String {
    let problem: Value = serde_json::from_str(answer).unwrap_or_default();
    let fields = problem["errors"].as_array().into_iter().flatten();
    let fields: Vec<String> =
        fields.map(|field| format!("{} {}", text(&field["pointer"]), text(&field["detail"]))).collect();
    match (fields.is_empty(), problem["detail"].as_str()) {
        (false, _) => fields.join(", "),
        (true, Some(detail)) => detail.to_owned(),
        (true, None) => answer.to_owned(),
    }
}

/// Whose answer the order waits for, by the table of states in ARCHITECTURE.md; `None` when it has ended.
fn holder(order: &Value) -> Option<(&'static str, &'static str)> {
    let (status, payment, stock) = (text(&order["status"]), text(&order["payment"]), text(&order["stock"]));
    match (status, payment, stock) {
        ("", ..) => Some(("order", "it does not say how the order stands")),
        (_, "pending", _) => Some(("payment", "it has not answered")),
        (.., "pending") => Some(("inventory", "it has not answered")),
        ("placed", ..) => Some(("order", "both have answered, and it has not decided")),
        (_, "authorized" | "failed", _) => Some(("payment", "the money is set aside and no more")),
        ("cancelled", "captured", _) => Some(("payment", "the money is not refunded")),
        (.., "reserved") | ("cancelled", _, "committed") => {
            Some(("inventory", "the goods are set aside and no more"))
        }
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
