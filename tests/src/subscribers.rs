//! Back-in-stock subscriptions: the subscribers' requests and clicks, and the operator's reports.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Builder, System};

use crate::{Inbox, Shop, eventually};

/// The path of the claim's link, which only back-in-stock mails contain.
pub const BACK: &str = "/c/";

impl Shop {
    /// Starts one instance of each service, with mails to `inbox` and these settings of the notification service.
    pub async fn with_mail(inbox: &Inbox, settings: &[(&str, &str)]) -> Self {
        Self::with(mailing(System::builder(), inbox, settings)).await
    }

    /// Sends `POST /subscriptions` and returns status and body.
    pub async fn ask(&self, form: &Value) -> (u16, Value) {
        let url = format!("{}/subscriptions", self.system.url("notification"));
        let answer = self.http().post(url).json(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Subscribes to this quantity of a product; the notification service then sends a confirmation request.
    pub async fn request_subscription(&self, email: &str, sku: &str, quantity: i64) {
        let form = json!({"email": email, "sku": sku, "quantity": quantity});
        // The notification service has its own copy of the catalogue, which is updated later.
        eventually(&format!("{sku} can be subscribed to"), async || {
            let (status, answer) = self.ask(&form).await;
            assert!(matches!(status, 202 | 422 | 503), "{status}: {answer}");
            if status == 422 {
                // Every call counts towards the client's limit, so the test retries only after the update.
                self.system.quiesce().await.unwrap();
            }
            (status == 202).then(|| assert_eq!(answer, json!({"status": "accepted"})))
        })
        .await;
    }

    /// Subscribes to a product, and confirms the subscription with the link in the confirmation request.
    pub async fn subscribe(&self, inbox: &Inbox, email: &str, sku: &str, quantity: i64) {
        self.request_subscription(email, sku, quantity).await;
        let confirm = inbox.mail(email, "/subscriptions/confirm").await.link("/subscriptions/confirm");
        assert_eq!(self.click(&confirm).await, StatusCode::OK);
    }

    /// Subscribes each of these names to one piece, in this order.
    pub async fn queue(&self, inbox: &Inbox, names: &[&str], sku: &str) {
        for name in names {
            self.subscribe(inbox, &format!("{name}@example.com"), sku, 1).await;
        }
    }

    /// Sends a POST to a link, as the one-click button of a mail program (RFC 8058) and the button of the page do.
    /// Returns the status.
    pub async fn click(&self, link: &str) -> StatusCode {
        self.post(link).await.0
    }

    /// Sends a POST to a link, and returns status and page.
    pub async fn post(&self, link: &str) -> (StatusCode, String) {
        let body = "List-Unsubscribe=One-Click";
        let post = self.http().post(link).header("content-type", "application/x-www-form-urlencoded");
        let answer = post.body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Returns the operator's report of a product.
    pub async fn report(&self, sku: &str) -> Value {
        let url = format!("{}/reports/notify-me", self.system.url("notification"));
        let page: Value = self.operator(self.http().get(url)).send().await.unwrap().json().await.unwrap();
        let rows = page["items"].as_array().unwrap_or_else(|| panic!("GET /reports/notify-me: {page}"));
        rows.iter().find(|row| row["sku"] == sku).cloned().unwrap_or_default()
    }

    /// Waits until the report of a product has these figures, and returns the report.
    pub async fn reports(&self, sku: &str, figures: &Value) -> Value {
        eventually(&format!("{sku} is reported with {figures}"), async || {
            let report = self.report(sku).await;
            figures
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, figure)| report[name] == *figure)
                .then_some(report)
        })
        .await
    }

    /// Returns the back-in-stock mails of a product from the operator's list, oldest first.
    pub async fn mails_about(&self, sku: &str) -> Vec<Value> {
        let mut rows = self.notifications(&format!("sku={sku}&kind=back_in_stock&limit=200")).await;
        rows.retain(|row| row["channel"] == "smtp");
        rows.reverse();
        rows
    }

    /// Waits until a mail about the product has at least this number of attempts and a cause of failure.
    pub async fn refused(&self, sku: &str, attempts: i64) {
        eventually(&format!("a mail about {sku} was tried {attempts} times"), async || {
            let rows = self.mails_about(sku).await;
            let refused =
                |row: &Value| row["attempts"].as_i64() >= Some(attempts) && row["cause"].is_string();
            rows.iter().any(refused).then_some(())
        })
        .await;
    }

    /// Waits until the system is idle and a later wave has sent a mail: everyone whom an earlier event concerns has
    /// been queued by then.
    pub async fn a_wave_has_passed(&self, inbox: &Inbox) {
        self.system.quiesce().await.unwrap();
        let number = inbox.back_in_stock().len();
        let (mark, sku) = (format!("mark-{number}@example.com"), format!("MARK-{number}"));
        self.stock(&sku, 0).await;
        self.subscribe(inbox, &mark, &sku, 1).await;
        self.restock(&sku, 1).await;
        inbox.mail(&mark, BACK).await;
        self.system.quiesce().await.unwrap();
    }
}

/// Sets a system's mail server to `inbox`, and these settings of the notification service.
pub fn mailing(builder: Builder, inbox: &Inbox, settings: &[(&str, &str)]) -> Builder {
    let builder = builder.env("notification", "SMTP_URL", inbox.url());
    // All tests share one client address; tests of the limit set it.
    let builder = builder.env("notification", "SUBSCRIPTIONS_PER_CLIENT_PER_HOUR", "0");
    settings.iter().fold(builder, |builder, (name, value)| builder.env("notification", name, *value))
}
