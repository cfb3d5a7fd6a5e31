//! The trial order: placed, followed to its mail, and cancelled. The order's state shows which service holds it.

use super::findings::{Doctor, fine, shortened};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The time after which an order counts as stuck.
const LIMIT: Duration = Duration::from_secs(10);

/// An order as the order service shows it, and whether all its mails are sent.
struct Progress {
    order: Value,
    mailed: bool,
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
                self.wrong(format_args!("the order service refuses the trial order: {status}: {why}"));
                return Ok(());
            }
            Err(error) => {
                self.wrong(format_args!("the order service does not take the trial order: {error}"));
                return Ok(());
            }
        };
        let started = Instant::now();
        let done = |progress: &Progress| progress.mailed && holder(&progress.order).is_none();
        if self.follow(&placed, "complete", done).await? {
            let seconds = started.elapsed().as_secs_f32();
            fine(format_args!("an order for one {sku} took {seconds:.1} s from the request to the mail"));
        }
        self.cancel(&placed).await
    }

    /// Returns the SKU of a product in stock, else of any product.
    async fn something_to_order(&mut self) -> Option<String> {
        let url = format!("{}/products", self.url("inventory").ok()?);
        let listed = match self.client.get(&url).send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
            Err(error) => {
                self.wrong(format_args!(
                    "no trial order: the inventory service does not list its products: {error}"
                ));
                return None;
            }
        };
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let in_stock = items.iter().find(|item| item["available"].as_i64() > Some(0));
        let sku = in_stock.or(items.first()).and_then(|item| item["sku"].as_str());
        if sku.is_none() {
            self.wrong(
                "no trial order: there is no product yet; create one with PUT /products/SKU at inventory",
            );
        }
        sku.map(str::to_owned)
    }

    /// Cancels the trial order, so that neither money nor stock remains bound.
    async fn cancel(&mut self, placed: &Value) -> anyhow::Result<()> {
        let url = format!("{}/orders/{}/cancel", self.url("order")?, text(&placed["id"]));
        let answer = self.client.post(&url).bearer_auth(text(&placed["cancel_token"])).send().await?;
        if !answer.status().is_success() {
            self.wrong(format_args!("the trial order could not be cancelled: {}", answer.status()));
            return Ok(());
        }
        let done = |progress: &Progress| {
            progress.order["status"] == "cancelled" && holder(&progress.order).is_none()
        };
        if self.follow(placed, "cancelled", done).await? {
            fine("the trial order is cancelled: payment and stock are released");
        }
        Ok(())
    }

    /// Polls the order until it is done. After 10 s, reports the service that holds it and returns false.
    async fn follow(
        &mut self,
        placed: &Value,
        what: &str,
        done: impl Fn(&Progress) -> bool,
    ) -> anyhow::Result<bool> {
        let deadline = Instant::now() + LIMIT;
        let id = text(&placed["id"]);
        loop {
            let progress = self.look(id).await?;
            if done(&progress) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                self.explain(id, what, &progress).await?;
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn look(&self, id: &str) -> anyhow::Result<Progress> {
        let order = answer(self.client.get(format!("{}/orders/{id}", self.url("order")?))).await;
        let mails = format!("{}/notifications?order_id={id}", self.url("notification")?);
        let mails = answer(self.client.get(mails).bearer_auth(&self.token)).await;
        let rows = mails["items"].as_array().cloned().unwrap_or_default();
        Ok(Progress { order, mailed: !rows.is_empty() && rows.iter().all(|row| row["status"] == "sent") })
    }

    /// Reports the service that holds the order, with its backlog.
    async fn explain(&mut self, id: &str, what: &str, progress: &Progress) -> anyhow::Result<()> {
        let (service, waits) = holder(&progress.order).unwrap_or(("notification", "the mail is not sent"));
        let mut known = match self.local.waiting(service).await {
            Ok(waiting) => shortened(waiting),
            Err(error) => vec![error.to_string()],
        };
        if service != "order" {
            let unpublished = self.local.waiting("order").await.unwrap_or_default();
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
            "order {id} is not {what} after {seconds} s; the {service} service holds it: {waits} ({known}); see ./scripts/logs {service}, and \
             ./scripts/run order reconcile --dry-run when a record may be lost"
        ));
        Ok(())
    }
}

/// Returns the JSON with which a service answers; null when there is none.
async fn answer(request: RequestBuilder) -> Value {
    match request.send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    }
}

/// Describes the state of a payment from an answer of `GET /payments/{order_id}`.
fn state(payment: &Value) -> String {
    let (status, attempts) = (text(&payment["status"]), &payment["attempts"]);
    match (status, attempts.as_i64()) {
        ("pending", Some(1..)) => {
            format!("the payment gateway was called {attempts} times and has not answered")
        }
        _ => format!("the payment is {status} after {attempts} calls to the gateway"),
    }
}

/// Returns the details of a problem (RFC 9457), per field where it names fields; any other answer unchanged.
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

/// Returns the service that the order waits for and the reason, by the table in order's `domain/machine.rs`; `None` when
/// the order has reached a final state.
fn holder(order: &Value) -> Option<(&'static str, &'static str)> {
    let (status, payment, stock) = (text(&order["status"]), text(&order["payment"]), text(&order["stock"]));
    match (status, payment, stock) {
        ("", ..) => Some(("order", "it does not return the order's status")),
        (_, "pending", _) => Some(("payment", "it has not answered")),
        (.., "pending") => Some(("inventory", "it has not answered")),
        ("placed", ..) => Some(("order", "payment and inventory have answered, and it has not decided")),
        (_, "authorized" | "failed", _) => Some(("payment", "the payment is neither captured nor voided")),
        ("cancelled", "captured", _) => Some(("payment", "the payment is not refunded")),
        (.., "reserved") | ("cancelled", _, "committed") => {
            Some(("inventory", "the reservation is neither committed nor released"))
        }
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
