//! Those who want to be told when it is back: what they ask for, what they press, and what the operator sees of them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stack::{Builder, System};

use crate::{Inbox, Shop, eventually};

/// What only the mail that tells of it has: the link with the claim.
pub const BACK: &str = "/c/";

impl Shop {
    /// One instance of each service, whose mails go to `inbox`; the notification service with these settings.
    pub async fn with_mail(inbox: &Inbox, settings: &[(&str, &str)]) -> Self {
        Self::with(mailing(System::builder(), inbox, settings)).await
    }

    /// `POST /subscriptions` as it is.
    pub async fn ask(&self, form: &Value) -> (u16, Value) {
        let url = format!("{}/subscriptions", self.system.url("notification"));
        let answer = self.http().post(url).json(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Asks to be told of so many; the mail that asks to confirm it is on its way.
    pub async fn wish(&self, email: &str, sku: &str, quantity: i64) {
        let form = json!({"email": email, "sku": sku, "quantity": quantity});
        // The notification service has a catalogue of its own, which follows.
        eventually(&format!("{sku} can be subscribed to"), async || {
            let (status, answer) = self.ask(&form).await;
            assert!(matches!(status, 202 | 422 | 503), "{status}: {answer}");
            if status == 422 {
                // Every call counts towards the client's limit: no second one before the product has been read.
                self.system.settled().await.unwrap();
            }
            (status == 202).then(|| assert_eq!(answer, json!({"status": "accepted"})))
        })
        .await;
    }

    /// Asks to be told, and confirms it by the link in the mail that follows.
    pub async fn subscribe(&self, inbox: &Inbox, email: &str, sku: &str, quantity: i64) {
        self.wish(email, sku, quantity).await;
        let confirm = inbox.mail(email, "/subscriptions/confirm").await.link("/subscriptions/confirm");
        assert_eq!(self.press(&confirm).await, StatusCode::OK);
    }

    /// These wait for one each, in this order.
    pub async fn queue(&self, inbox: &Inbox, names: &[&str], sku: &str) {
        for name in names {
            self.subscribe(inbox, &format!("{name}@example.com"), sku, 1).await;
        }
    }

    /// A POST to a link, as a mail program with a button of its own does it (RFC 8058), and as a page's button.
    pub async fn press(&self, link: &str) -> StatusCode {
        self.post(link).await.0
    }

    /// The same, with the page that answers.
    pub async fn post(&self, link: &str) -> (StatusCode, String) {
        let body = "List-Unsubscribe=One-Click";
        let post = self.http().post(link).header("content-type", "application/x-www-form-urlencoded");
        let answer = post.body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The operator's figures of a product.
    pub async fn report(&self, sku: &str) -> Value {
        let url = format!("{}/reports/notify-me", self.system.url("notification"));
        let page: Value = self.operator(self.http().get(url)).send().await.unwrap().json().await.unwrap();
        let rows = page["items"].as_array().unwrap_or_else(|| panic!("GET /reports/notify-me: {page}"));
        rows.iter().find(|row| row["sku"] == sku).cloned().unwrap_or_default()
    }

    /// Waits until these figures of a product are so.
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

    /// The rows of the mails that tell of a product, the first that was decided first.
    pub async fn mails_about(&self, sku: &str) -> Vec<Value> {
        let mut rows = self.notifications(&format!("sku={sku}&kind=back_in_stock&limit=200")).await;
        rows.retain(|row| row["channel"] == "smtp");
        rows.reverse();
        rows
    }

    /// Waits until a mail about the product was tried so often, and it is known that it was refused.
    pub async fn refused(&self, sku: &str, attempts: i64) {
        eventually(&format!("a mail about {sku} was tried {attempts} times"), async || {
            let rows = self.mails_about(sku).await;
            let refused =
                |row: &Value| row["attempts"].as_i64() >= Some(attempts) && row["cause"].is_string();
            rows.iter().any(refused).then_some(())
        })
        .await;
    }

    /// Returns when all that happened so far has been read, and a wave that came after it has told somebody: whoever was
    /// to be told of what happened has been queued by then.
    pub async fn a_wave_has_passed(&self, inbox: &Inbox) {
        self.system.settled().await.unwrap();
        let number = inbox.told().len();
        let (mark, sku) = (format!("mark-{number}@example.com"), format!("MARK-{number}"));
        self.stock(&sku, 0).await;
        self.subscribe(inbox, &mark, &sku, 1).await;
        self.restock(&sku, 1).await;
        inbox.mail(&mark, BACK).await;
        self.system.settled().await.unwrap();
    }
}

/// A system whose mails go to `inbox`.
pub fn mailing(builder: Builder, inbox: &Inbox, settings: &[(&str, &str)]) -> Builder {
    let builder = builder.env("notification", "SMTP_URL", inbox.url());
    // All tests are one client; those of the limit set it.
    let builder = builder.env("notification", "SUBSCRIPTIONS_PER_CLIENT_PER_HOUR", "0");
    settings.iter().fold(builder, |builder, (name, value)| builder.env("notification", name, *value))
}
