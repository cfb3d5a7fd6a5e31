//! A refusal of mails: only the owner of an address can lift it; and confirmation requests are rate-limited.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{BACK, Inbox, Placed, Shop, eventually};

const CONFIRM: &str = "/subscriptions/confirm";
const UNSUBSCRIBE: &str = "/subscriptions/unsubscribe";
const REFUSE: &str = "/subscriptions/refuse";
const JOIN: &str = "/subscriptions/join";

/// Waits until all earlier requests are processed: requests are processed in order, so the mail to `mark` proves it.
async fn all_processed(shop: &Shop, inbox: &Inbox, mark: &str) {
    shop.request_subscription(mark, "PEN", 1).await;
    inbox.mail(mark, CONFIRM).await;
}

fn questions(inbox: &Inbox, email: &str) -> usize {
    inbox.of(email).iter().filter(|mail| mail.text.contains(CONFIRM)).count()
}

/// Subscribes an address, as anyone can; the answer is always the same.
async fn ask(shop: &Shop, email: &str, sku: &str, quantity: i64) {
    let (status, answer) = shop.ask(&json!({"email": email, "sku": sku, "quantity": quantity})).await;
    assert_eq!((status, answer), (202, json!({"status": "accepted"})));
}

/// Orders a sold-out product with `notify_me`, from a client that is not local, and waits for the mail that tells its outcome.
async fn remote_order_sold_out(shop: &Shop, inbox: &Inbox, email: &str) {
    let order = json!({"email": email, "payment_method": "pm_card_visa", "notify_me": true,
                       "items": [{"sku": "PEN", "quantity": 1}]});
    // A trusted proxy names the client; local clients have no limits.
    let post = shop.http().post(shop.at("order", "/orders")).header("x-forwarded-for", "192.0.2.1");
    let placed: Value = post.json(&order).send().await.unwrap().json().await.unwrap();
    shop.ends(&Placed::from_answer(&placed).id, ["cancelled", "voided", "rejected"]).await;
    inbox.mail(email, "cancelled").await;
}

/// Returns the link of a page's form.
fn form(page: &str, action: &str) -> String {
    let rest =
        page.split(&format!("action=\"{action}?")).nth(1).unwrap_or_else(|| panic!("{action} in {page}"));
    format!("{action}?{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn a_refusal_of_a_product_stops_all_mails_about_it_until_the_owners_link_lifts_it() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "0")]).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("a@example.com", "PEN", 1).await;
    let unsubscribe = inbox.mail("a@example.com", CONFIRM).await.link(UNSUBSCRIBE);
    let (status, page) = shop.post(&unsubscribe).await;
    assert_eq!(status, StatusCode::OK);

    for (email, quantity) in [("a@example.com", 1), ("A@example.com", 7), ("a+shop@example.com", 1)] {
        ask(&shop, email, "PEN", quantity).await;
    }
    remote_order_sold_out(&shop, &inbox, "a@example.com").await;
    all_processed(&shop, &inbox, "probe-1@example.com").await;
    // The order's mail offers the subscription by a link, which only its reader can use.
    let cancelled = inbox.mail("a@example.com", "cancelled").await;
    assert!(cancelled.text.contains(JOIN) && !cancelled.text.contains(UNSUBSCRIBE), "{}", cancelled.text);
    assert_eq!((questions(&inbox, "a@example.com"), questions(&inbox, "a+shop@example.com")), (1, 0));
    shop.restock("PEN", 1).await;
    shop.a_wave_has_passed(&inbox).await;
    assert!(inbox.notified_names().is_empty());

    let lift = format!("{}/subscriptions/{}", shop.system.url("notification"), form(&page, "lift"));
    assert_eq!(shop.http().get(&lift).send().await.unwrap().status(), StatusCode::OK);
    ask(&shop, "a@example.com", "PEN", 1).await;
    all_processed(&shop, &inbox, "probe-2@example.com").await;
    assert_eq!(questions(&inbox, "a@example.com"), 1, "a GET changes nothing");
    for _again in 0..2 {
        assert_eq!(shop.click(&lift).await, StatusCode::OK);
    }
    ask(&shop, "a@example.com", "PEN", 1).await;
    let asked = async || (questions(&inbox, "a@example.com") == 2).then_some(());
    eventually("a new confirmation request", asked).await;
}

#[tokio::test]
async fn a_refusal_of_all_mails_applies_to_every_product_even_after_an_erasure() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    for sku in ["PEN", "CUP"] {
        shop.stock(sku, 0).await;
    }
    shop.queue(&inbox, &["a"], "PEN").await;
    let refuse = inbox.mail("a@example.com", CONFIRM).await.link(REFUSE);
    for _again in 0..2 {
        assert_eq!(shop.click(&refuse).await, StatusCode::OK);
    }
    shop.reports("PEN", &json!({"waiting": 0})).await;
    shop.erase("notification", "a@example.com").await;
    assert_eq!(shop.click(&refuse).await, StatusCode::NOT_FOUND, "the link's address is erased");
    ask(&shop, "a@example.com", "CUP", 1).await;
    ask(&shop, "a@example.com", "PEN", 1).await;
    all_processed(&shop, &inbox, "probe-1@example.com").await;
    assert_eq!(questions(&inbox, "a@example.com"), 1);
}

#[tokio::test]
async fn the_pause_before_the_next_confirmation_request_grows_until_one_is_answered() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "0")]).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("a@example.com", "PEN", 1).await;
    let all = || -> usize {
        ["a@example.com", "a+1@example.com", "a+2@example.com"].iter().map(|to| questions(&inbox, to)).sum()
    };
    let mut mark = 0;
    // The pauses are 15 and 60 minutes; each step stays minutes away from their ends, because the test itself takes time.
    for (minutes, asked) in [(0, 1), (8, 1), (8, 2), (16, 2), (30, 2), (15, 3)] {
        // Moves the time of the last request in the database instead of waiting.
        let over = format!("UPDATE questions SET last_at = last_at - interval '{minutes} minutes'");
        shop.system.in_database("notification", &over).await.unwrap();
        for (email, quantity) in
            [("a@example.com", 1), ("a+1@example.com", 1), ("a+2@example.com", 1), ("A@example.com", 5)]
        {
            ask(&shop, email, "PEN", quantity).await;
        }
        mark += 1;
        all_processed(&shop, &inbox, &format!("probe-{mark}@example.com")).await;
        // Several senders work side by side: the last of these mails may arrive after the probe's.
        eventually("the confirmation mails", async || (all() >= asked).then_some(())).await;
        assert_eq!(all(), asked, "{minutes} minutes later");
    }
    // An answer ends the pause: the request for another quantity is sent at once.
    let confirm = inbox.mail("a@example.com", CONFIRM).await.link(CONFIRM);
    assert_eq!(shop.click(&confirm).await, StatusCode::OK);
    ask(&shop, "a@example.com", "PEN", 9).await;
    eventually("a request for another quantity", async || (all() == 4).then_some(())).await;
}

#[tokio::test]
async fn subscriptions_by_order_are_notified_after_confirmed_ones() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]).await;
    shop.stock("PEN", 0).await;
    for email in ["fake@example.com", "b@example.com"] {
        remote_order_sold_out(&shop, &inbox, email).await;
    }
    shop.queue(&inbox, &["c"], "PEN").await;
    // b confirms the subscription of the order, which then keeps the order's position.
    shop.subscribe(&inbox, "b@example.com", "PEN", 1).await;
    for (notified, next) in ["b", "c", "fake"].iter().enumerate() {
        shop.restock("PEN", 1).await;
        inbox.mail(&format!("{next}@example.com"), BACK).await;
        shop.a_wave_has_passed(&inbox).await;
        assert_eq!(inbox.notified_names().len(), notified + 1, "{:?}", inbox.notified_names());
    }
}

#[tokio::test]
async fn subscriptions_by_order_are_limited_per_client_and_per_mailbox() {
    let inbox = Inbox::open();
    let limits = [("SUBSCRIPTIONS_PER_ADDRESS_PER_HOUR", "1")];
    let builder = testkit::System::builder().env("order", "NOTIFY_ME_PER_CLIENT_PER_HOUR", "4");
    let builder = builder.env("order", "TRUSTED_PROXIES", "127.0.0.1");
    let shop = Shop::with(system_tests::mailing(builder, &inbox, &limits)).await;
    shop.stock("PEN", 0).await;
    // One subscription per mailbox, whatever follows the plus sign; the first that notification reads.
    for email in ["a@example.com", "a+1@example.com", "b@example.com", "c@example.com", "d@example.com"] {
        remote_order_sold_out(&shop, &inbox, email).await;
    }
    shop.reports("PEN", &json!({"waiting": 3})).await;
    for email in ["a+1@example.com", "d@example.com"] {
        let cancelled = inbox.mail(email, "cancelled").await;
        assert!(
            cancelled.text.contains(JOIN),
            "the mail offers the subscription instead: {}",
            cancelled.text
        );
    }
}

#[tokio::test]
async fn a_refusal_ends_subscriptions_made_before_a_change_of_the_token_key() {
    let inbox = Inbox::open();
    let (old, new) = ("the key before the change, long enough", "the key after the change, long enough");
    let shop = Shop::with_mail(&inbox, &[("TOKEN_KEY", old)]).await;
    for (email, sku) in [("ada@example.com", "MUG"), ("ada+pen@example.com", "PEN")] {
        shop.stock(sku, 0).await;
        shop.subscribe(&inbox, email, sku, 1).await;
    }
    let notification = shop.system.service("notification");
    assert!(notification.stop(Duration::from_secs(10)).await);
    let keys = [("TOKEN_KEY", new.to_owned()), ("TOKEN_KEY_PREVIOUS", old.to_owned())];
    notification.spawn_with(&keys).unwrap();
    notification.wait_ready().await.unwrap();

    let refuse = inbox.mail("ada@example.com", CONFIRM).await.link(REFUSE);
    assert_eq!(shop.click(&refuse).await, StatusCode::OK);
    shop.reports("MUG", &json!({"waiting": 0})).await;
    shop.reports("PEN", &json!({"waiting": 0})).await;
    shop.system.quiesce().await.unwrap();
}
