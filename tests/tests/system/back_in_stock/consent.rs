//! Only the owner of an address can confirm a subscription; the form does not reveal whether an address is known.

use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Shop, eventually};

const CONFIRM: &str = "/subscriptions/confirm";

#[tokio::test]
async fn an_address_is_notified_only_after_confirming_and_not_after_unsubscribing() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["grace", "joan"], "PEN").await;
    shop.request_subscription("silent@example.com", "PEN", 1).await;
    let unsubscribe = inbox.mail("joan@example.com", CONFIRM).await.link("/subscriptions/unsubscribe");
    assert!(shop.click(&unsubscribe).await.is_success());
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["grace"]);
    shop.reports("PEN", &json!({"waiting": 0, "notified": 1})).await;
}

#[tokio::test]
async fn a_strangers_request_changes_nothing_that_the_owner_confirmed() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["ada", "b"], "PEN").await;
    let accepted = (202, json!({"status": "accepted"}));
    // The same quantity needs no confirmation. Another quantity does, and the owner does not confirm it.
    assert_eq!(shop.ask(&json!({"email": "ADA@example.com", "sku": "PEN"})).await, accepted);
    assert_eq!(shop.ask(&json!({"email": "Ada@Example.com", "sku": "PEN", "quantity": 900})).await, accepted);
    let questions = async || {
        let mails = inbox.of("ada@example.com");
        let questions: Vec<String> =
            mails.iter().filter(|mail| mail.text.contains(CONFIRM)).map(|mail| mail.link(CONFIRM)).collect();
        (questions.len() == 2).then_some(questions)
    };
    let questions =
        eventually("another quantity needs a confirmation, the same quantity does not", questions).await;
    assert_ne!(questions[0], questions[1]);
    shop.restock("PEN", 1).await;
    inbox.mail("ada@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["ada"], "quantity and position are unchanged");
}

#[tokio::test]
async fn another_quantity_applies_only_after_the_owner_confirms_it() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b"], "PEN").await;
    shop.request_subscription("a@example.com", "PEN", 3).await;
    let second = eventually("the second confirmation request", async || {
        let mails = inbox.of("a@example.com");
        mails.iter().filter(|mail| mail.text.contains(CONFIRM)).nth(1).map(|mail| mail.link(CONFIRM))
    });
    assert!(shop.click(&second.await).await.is_success());
    // The link of the first request again: the latest confirmation stays in force.
    let first = inbox.mail("a@example.com", CONFIRM).await.link(CONFIRM);
    assert!(shop.click(&first).await.is_success());
    shop.restock("PEN", 2).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["b"], "two units are too few for a");
    shop.restock("PEN", 3).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a", "b"]);
}

#[tokio::test]
async fn the_form_answers_known_and_unknown_addresses_alike() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["known"], "PEN").await;
    let mut answers = Vec::new();
    for email in ["known@example.com", "KNOWN@example.com", "unknown@example.com"] {
        let url = format!("{}/subscriptions", shop.system.url("notification"));
        let answer = shop.http().post(url).json(&json!({"email": email, "sku": "PEN"})).send().await.unwrap();
        let mut headers = answer.headers().clone();
        headers.remove("date");
        answers.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn subscriptions_are_limited_per_address_and_per_client() {
    let inbox = Inbox::open();
    let limits = [("SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "3"), ("SUBSCRIPTIONS_PER_CLIENT_PER_HOUR", "6")];
    let shop = Shop::with_mail(&inbox, &limits).await;
    shop.stock("PEN", 0).await;
    shop.subscribe(&inbox, "mark@example.com", "PEN", 1).await;
    let url = format!("{}/subscriptions", shop.system.url("notification"));
    // This client is not a trusted proxy, so its X-Forwarded-For is ignored.
    let ask = async |email: &str, client: &str| {
        let post = shop.http().post(&url).header("x-forwarded-for", client);
        post.json(&json!({"email": email, "sku": "PEN"})).send().await.unwrap()
    };
    for (email, client) in
        [("ada@example.com", "1.1.1.1"), ("Ada@example.com", "2.2.2.2"), ("ADA@example.com", "3.3.3.3")]
    {
        assert_eq!(ask(email, client).await.status(), 202);
    }
    let refused = ask("aDa@example.com", "4.4.4.4").await;
    assert_eq!(refused.status(), 429, "the fourth request for this address");
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["status"], 429);
    let mut taken = 0;
    for number in 0..6 {
        let answer = ask(&format!("victim-{number}@example.com"), &format!("5.5.5.{number}")).await;
        taken += usize::from(answer.status() == 202);
    }
    assert!(taken <= 2, "{taken} more requests accepted from a client with a limit of six");
}

#[tokio::test]
async fn with_order_consent_confirm_an_orders_subscription_needs_a_confirmation_too() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("ORDER_CONSENT", "confirm")]).await;
    shop.stock("PEN", 0).await;
    for email in ["ada@example.com", "silent@example.com"] {
        let order = json!({"email": email, "payment_method": "pm_card_visa", "notify_me": true,
                           "items": [{"sku": "PEN", "quantity": 2}]});
        assert_eq!(shop.try_order(None, &order).await.0, 202);
        inbox.mail(email, CONFIRM).await;
    }
    shop.reports("PEN", &json!({"waiting": 0})).await;
    let confirm = inbox.mail("ada@example.com", CONFIRM).await.link(CONFIRM);
    assert!(shop.click(&confirm).await.is_success());
    shop.reports("PEN", &json!({"waiting": 1})).await;
    shop.restock("PEN", 50).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["ada"]);
}
