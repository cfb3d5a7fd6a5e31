//! Strangers who use another person's address.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::BACK;

use crate::Outcome;
use crate::target::Target;

/// The default of `MAILS_PER_RECIPIENT_PER_HOUR`.
const MAILS: usize = 30;

/// Orders one piece of `sku` in the name of `email`, and returns the answer.
async fn order(target: &Target, email: &str, sku: &str, notify_me: bool) -> Value {
    let items = json!([{"sku": sku, "quantity": 1}]);
    let body =
        json!({"email": email, "payment_method": "pm_card_visa", "items": items, "notify_me": notify_me});
    let (status, order) = target.shop.try_order(None, &body).await;
    assert_eq!(status, 202, "{order}");
    order
}

async fn cancel(target: &Target, order: &Value) {
    let (id, token) = (&order["id"], &order["cancel_token"]);
    let url = target.shop.at("order", &format!("/orders/{}/cancel", id.as_str().unwrap_or_default()));
    let post = target.shop.http().post(url).bearer_auth(token.as_str().unwrap_or_default());
    let status = post.send().await.map(|answer| answer.status().as_u16());
    assert!(matches!(status, Ok(202)), "{status:?}");
}

/// Subscribes `email`, whatever the answer is, and returns the latency.
async fn ask(target: &Target, email: &str, sku: &str) -> Duration {
    let started = Instant::now();
    target.shop.ask(&json!({"email": email, "sku": sku, "quantity": 1})).await;
    started.elapsed()
}

pub(crate) async fn mail_bomb(target: &Target) -> Outcome {
    let victim = |number| format!("victim+{number}@example.com");
    // In stock, so that all mails are of one kind.
    target.shop.stock("BOMBED", 1000).await;
    for number in 0..200 {
        order(target, &victim(number), "BOMBED", false).await;
    }
    let started = Instant::now();
    let other = order(target, "bystander@example.com", "BOMBED", false).await;
    target.inbox.mail("bystander@example.com", other["id"].as_str().unwrap_or_default()).await;
    let waited = started.elapsed();
    target.shop.a_wave_has_passed(&target.inbox).await;
    let mails: usize = (0..200).map(|number| target.inbox.of(&victim(number)).len()).sum();
    let found = format!("{mails} mails; a customer's mail after {:.1} s", waited.as_secs_f64());
    Outcome { found, held: mails <= MAILS && waited < Duration::from_secs(10) }
}

pub(crate) async fn refused(target: &Target) -> Outcome {
    let owner = "refuses@example.com";
    target.shop.stock("REFUSED", 0).await;
    target.shop.subscribe(&target.inbox, owner, "REFUSED", 1).await;
    let mail = target.inbox.mail(owner, "/subscriptions/unsubscribe").await;
    target.shop.click(&mail.link("/subscriptions/unsubscribe")).await;
    let before = target.inbox.of(owner).len();
    for number in 0..20 {
        ask(target, &owner.replace('@', &format!("+{number}@")), "REFUSED").await;
        ask(target, owner, "REFUSED").await;
    }
    target.shop.restock("REFUSED", 5).await;
    target.shop.a_wave_has_passed(&target.inbox).await;
    let plus = (0..20).map(|number| target.inbox.of(&owner.replace('@', &format!("+{number}@"))).len());
    let more = target.inbox.of(owner).len() - before + plus.sum::<usize>();
    Outcome { found: format!("{more} mails after the unsubscription"), held: more == 0 }
}

pub(crate) async fn questions(target: &Target) -> Outcome {
    target.shop.stock("ASKED", 0).await;
    let dots = ['.', '\u{ff0e}', '\u{3002}'];
    for number in 0..50 {
        let dot = dots[number % dots.len()];
        ask(target, &format!("Asked+{number}@Example{dot}com"), "ASKED").await;
    }
    target.shop.a_wave_has_passed(&target.inbox).await;
    let mails: usize =
        (0..50).map(|number| target.inbox.of(&format!("asked+{number}@example.com")).len()).sum();
    Outcome { found: format!("{mails} confirmation requests"), held: mails == 1 }
}

pub(crate) async fn cancelled_order(target: &Target) -> Outcome {
    let owner = "waits@example.com";
    target.shop.stock("WANTED", 1).await;
    target.shop.subscribe(&target.inbox, owner, "WANTED", 5).await;
    let strangers = order(target, owner, "WANTED", false).await;
    target.shop.confirmed(strangers["id"].as_str().unwrap_or_default()).await;
    cancel(target, &strangers).await;
    target.shop.restock("WANTED", 10).await;
    target.shop.a_wave_has_passed(&target.inbox).await;
    let notified = target.inbox.of(owner).iter().filter(|mail| mail.text.contains(BACK)).count();
    Outcome { found: format!("{notified} back-in-stock mails"), held: notified == 1 }
}

pub(crate) async fn fake_wishes(target: &Target) -> Outcome {
    target.shop.stock("QUEUED", 0).await;
    for number in 0..60 {
        order(target, &format!("fake-{number}@example.com"), "QUEUED", true).await;
    }
    target.shop.subscribe(&target.inbox, "real@example.com", "QUEUED", 1).await;
    target.shop.restock("QUEUED", 1).await;
    target.shop.a_wave_has_passed(&target.inbox).await;
    let notified = target.inbox.back_in_stock().into_iter().map(|mail| mail.to);
    let notified: Vec<String> =
        notified.filter(|to| to == "real@example.com" || to.starts_with("fake-")).collect();
    // The mails of a wave are sent side by side, so their order says nothing.
    let is_among_them = notified.iter().any(|to| to == "real@example.com");
    let found = format!("{} notified, the subscriber among them: {is_among_them}", notified.len());
    Outcome { found, held: is_among_them && notified.len() <= 2 }
}

pub(crate) async fn who_orders(target: &Target) -> Outcome {
    let mut answers = [Value::Null, Value::Null];
    for answer in &mut answers {
        *answer = order(target, "orders-twice@example.com", "MUG", false).await;
    }
    let [first, second] = &answers;
    let fields = first.as_object().into_iter().flatten();
    let shared =
        fields.filter(|(name, value)| second[name.as_str()] == **value).map(|(name, _)| name.clone());
    // The items and the state of an order; any other common field would be about the person.
    let public = ["items", "total", "status", "reason", "payment", "stock"];
    let revealing: Vec<String> = shared.filter(|name| !public.contains(&name.as_str())).collect();
    Outcome { found: format!("fields that identify the person: {revealing:?}"), held: revealing.is_empty() }
}

pub(crate) async fn who_subscribed(target: &Target) -> Outcome {
    const COUNT: usize = 40;
    target.shop.stock("SECRET", 0).await;
    for number in 0..COUNT {
        target.shop.subscribe(&target.inbox, &format!("known-{number}@example.com"), "SECRET", 1).await;
    }
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for number in 0..COUNT {
        known.push(ask(target, &format!("known-{number}@example.com"), "SECRET").await);
        new.push(ask(target, &format!("other-{number}@example.com"), "SECRET").await);
    }
    let right = distinguishable(&known, &new);
    let (known, new) = (median(&mut known), median(&mut new));
    let found = format!(
        "{:.1} ms and {:.1} ms; the latency reveals {:.0} % of the pairs",
        known.as_secs_f64() * 1e3,
        new.as_secs_f64() * 1e3,
        right * 100.0
    );
    Outcome { found, held: right <= 0.7 }
}

/// Returns the share of all pairs in which the better of two rules (the known address is the slower one, or the faster
/// one) is right; 0.5 reveals nothing.
#[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
fn distinguishable(known: &[Duration], new: &[Duration]) -> f64 {
    let slower: usize = known.iter().map(|time| new.iter().filter(|other| *other < time).count()).sum();
    let slower = slower as f64 / (known.len() * new.len()) as f64;
    slower.max(1.0 - slower)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
