//! The steady mix of customers: orders of every outcome, repeated requests, cancellations, reads, Notify Me, restocks,
//! claims and erasures.

use std::time::Duration;

use checker::Request;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{BACK, Mail, Random};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::site::Site;

const METHODS: [&str; 8] = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_timeout",
    "pm_flaky",
    "pm_captureFails",
];
/// A product that never runs out, one that often does, and one that is restocked one by one.
const PRODUCTS: [(&str, i64); 3] = [("PLENTY", 1_000_000), ("SCARCE", 20), ("RARE", 0)];
/// The times without an answer after which a customer sends the same request again.
const TIMEOUTS: [Duration; 3] =
    [Duration::from_millis(150), Duration::from_millis(600), Duration::from_secs(4)];
/// The longest pause of a customer between two actions, in milliseconds.
const PACE: u64 = 150;

/// A customer, who acts until `stop`, with addresses that nobody else uses.
pub(crate) struct Customer<'a> {
    pub site: &'a Site,
    pub name: String,
    pub random: Random,
    pub stop: CancellationToken,
    addresses: usize,
    count: usize,
}

impl Site {
    /// Lists the products of the load, with their first stock.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        for (sku, quantity) in PRODUCTS {
            self.shop.stock(sku, 0).await;
            if quantity > 0 {
                self.restock(sku, quantity, &format!("first-{sku}"), &CancellationToken::new()).await;
            }
        }
        Ok(())
    }

    /// Restocks a product, repeating the request until it is answered.
    async fn restock(&self, sku: &str, quantity: i64, key: &str, stop: &CancellationToken) {
        let path = format!("/products/{sku}/restock");
        loop {
            let http = self.operator("inventory", &path).json(&json!({"quantity": quantity}));
            let request = Request::Restock { sku: sku.to_owned(), quantity, key: key.to_owned() };
            let (status, _) = self.send(request, http.header("Idempotency-Key", key)).await;
            if status == 200 || stop.is_cancelled() || self.gives_up() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Places an order, repeating the request with its key until it is answered; `None` when it was not answered until `stop`.
    pub(crate) async fn place(
        &self,
        key: &str,
        body: &Value,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> Option<Value> {
        loop {
            let http =
                self.request(Method::POST, "order", "/orders").json(body).header("Idempotency-Key", key);
            let request = Request::Place { key: key.to_owned(), body: body.clone() };
            let (status, answer) = self.send(request, http.timeout(timeout)).await;
            match status {
                202 => return serde_json::from_str(&answer).ok(),
                0 | 409 | 429 | 503 if !stop.is_cancelled() && !self.gives_up() => {
                    sleep(Duration::from_millis(50)).await;
                }
                _ => return None,
            }
        }
    }

    /// Reads an order; null without an answer.
    pub(crate) async fn read(&self, id: &str) -> Value {
        let http = self.request(Method::GET, "order", &format!("/orders/{id}"));
        let Ok(order) = id.parse() else { return Value::Null };
        let (_, answer) = self.send(Request::Read(order), http).await;
        serde_json::from_str(&answer).unwrap_or_default()
    }

    pub(crate) fn request(&self, method: Method, service: &str, path: &str) -> reqwest::RequestBuilder {
        self.shop.http().request(method, self.shop.at(service, path)).timeout(Duration::from_secs(5))
    }

    fn operator(&self, service: &str, path: &str) -> reqwest::RequestBuilder {
        self.shop.operator(self.request(Method::POST, service, path))
    }
}

impl<'a> Customer<'a> {
    pub(crate) fn new(site: &'a Site, name: String, random: Random, stop: CancellationToken) -> Self {
        Self { site, name, random, stop, addresses: 1, count: 0 }
    }

    /// Acts until `stop`.
    pub(crate) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let acting = self.site.acting.read().await;
            match self.random.below(100) {
                0..70 => self.order(None).await,
                70..80 => self.subscribe().await,
                80..90 => self.restock().await,
                90..93 => self.erase().await,
                93..96 => self.unsubscribe().await,
                _ => self.follow_a_mail().await,
            }
            drop(acting);
            sleep(Duration::from_millis(self.random.below(PACE))).await;
        }
    }

    /// One of the customer's addresses that are not erased.
    fn address(&mut self) -> String {
        format!("{}-{}@example.com", self.name, self.addresses - 1 + usize::from(self.random.below(4) == 0))
    }

    fn key(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.name, self.count)
    }

    /// Orders, reads the order at random moments, and cancels some.
    async fn order(&mut self, claim: Option<(String, String)>) {
        let (email, sku, claim) = match claim {
            Some((email, claim)) => (email, "SCARCE", Some(claim)),
            None => (self.address(), self.random.pick(&PRODUCTS).0, None),
        };
        let mut items = vec![json!({"sku": sku, "quantity": 1 + self.random.below(2)})];
        if self.random.below(4) == 0 {
            items.push(json!({"sku": self.random.pick(&PRODUCTS).0, "quantity": 1}));
        }
        let mut body = json!({"email": email, "payment_method": self.random.pick(&METHODS), "items": items,
                              "notify_me": self.random.below(2) == 0});
        if let Some(claim) = claim {
            body["claim"] = claim.into();
        }
        let (key, timeout) = (self.key(), *self.random.pick(&TIMEOUTS));
        let Some(order) = self.site.place(&key, &body, timeout, &self.stop).await else { return };
        let (Some(id), Some(token)) = (order["id"].as_str(), order["cancel_token"].as_str()) else { return };
        for _ in 0..self.random.below(3) {
            sleep(Duration::from_millis(self.random.below(100))).await;
            self.site.read(id).await;
        }
        if self.random.below(6) == 0 {
            sleep(Duration::from_millis(self.random.below(600))).await;
            let http =
                self.site.request(Method::POST, "order", &format!("/orders/{id}/cancel")).bearer_auth(token);
            if let Ok(order) = id.parse() {
                self.site.send(Request::Cancel(order), http).await;
            }
        }
    }

    /// Subscribes to a product, and confirms a request that arrived for one of the customer's addresses.
    async fn subscribe(&mut self) {
        let (email, sku) = (self.address(), *self.random.pick(&["SCARCE", "RARE"]));
        let form = json!({"email": email, "sku": sku, "quantity": 1});
        let http = self.site.request(Method::POST, "notification", "/subscriptions").json(&form);
        self.site.send(Request::Subscribe { email: email.clone(), sku: sku.to_owned() }, http).await;
        sleep(Duration::from_millis(300)).await;
        if let Some(link) = self.link(&email, "/subscriptions/confirm") {
            _ = self.post(&link).await;
        }
    }

    async fn restock(&mut self) {
        let (sku, quantity) = *self.random.pick(&[("SCARCE", 3), ("RARE", 1)]);
        let key = self.key();
        self.site.restock(sku, quantity, &key, &self.stop).await;
    }

    /// Erases the customer's present address, at notification and at order; the customer goes on with new ones.
    async fn erase(&mut self) {
        let email = format!("{}-{}@example.com", self.name, self.addresses - 1);
        self.addresses += 2;
        let body = json!({"email": email});
        let http = self.site.operator("notification", "/erasures").json(&body);
        // Without an answer it may have erased, too.
        if self.site.send(Request::EraseContact { email: email.clone() }, http).await.0 == 202 {
            let http = self.site.operator("order", "/erasures").json(&body);
            self.site.send(Request::Erase { email }, http).await;
        }
    }

    async fn unsubscribe(&mut self) {
        let email = self.address();
        let Some(mail) = self.mail(&email, "/subscriptions/unsubscribe") else { return };
        let link = mail.link("/subscriptions/unsubscribe");
        // A mail about an order has a line with a link per product; another mail is about one product.
        let named = |text: &str| ["RARE", "SCARCE"].into_iter().find(|sku| text.contains(sku));
        let beside = mail.text.lines().find(|line| line.contains(&link));
        let Some(sku) = beside.and_then(named).or_else(|| named(&mail.text)) else { return };
        let http = self.site.shop.http().post(&link).timeout(Duration::from_secs(5));
        let http = http
            .header("content-type", "application/x-www-form-urlencoded")
            .body("List-Unsubscribe=One-Click");
        self.site.send(Request::Unsubscribe { email, sku: sku.to_owned() }, http).await;
    }

    /// Orders with the claim of a "back in stock" mail.
    async fn follow_a_mail(&mut self) {
        let email = self.address();
        let Some(link) = self.link(&email, BACK) else { return };
        let Some(claim) = link.rsplit('/').next().map(str::to_owned) else { return };
        self.order(Some((email, claim))).await;
    }

    /// The link of the last mail to an address that has one.
    fn link(&self, email: &str, part: &str) -> Option<String> {
        Some(self.mail(email, part)?.link(part))
    }

    /// The last mail to an address that has such a link.
    fn mail(&self, email: &str, part: &str) -> Option<Mail> {
        let mails = self.site.inbox.of(email);
        mails.into_iter().rev().find(|mail| mail.text.contains(part))
    }

    async fn post(&self, link: &str) -> Option<u16> {
        let post = self.site.shop.http().post(link).timeout(Duration::from_secs(5));
        let post = post.header("content-type", "application/x-www-form-urlencoded").body("");
        Some(post.send().await.ok()?.status().as_u16())
    }
}
