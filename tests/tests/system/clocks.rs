//! Wrong clocks, of the services and of Postgres: no decision depends on them, and nothing waits until they are right.
#![cfg(target_os = "linux")]

use serde_json::json;
use std::sync::Arc;
use system_tests::{BACK, Inbox, Placed, Shop, WrongClock, eventually, mailing};
use testkit::{Plan, Servers, System};

const HOUR: i64 = 60 * 60;
const CONFIRM: &str = "/subscriptions/confirm";

/// Waits until a call for this order's money has failed at the gateway.
async fn waits_for_the_gateway(shop: &Shop, order: &Placed) {
    eventually("a call has failed at the gateway", async || {
        let payment = shop.payment(&order.id).await;
        (payment["attempts"].as_i64() > Some(0) && payment["status"] == "pending").then_some(())
    })
    .await;
}

/// Everything ends as it should while the clocks of these services are wrong.
async fn ends_as_it_should(wrong: [(&str, i64); 4]) {
    let inbox = Inbox::open();
    let clocks = wrong.map(|(service, seconds)| (service, WrongClock::ahead_by(seconds)));
    let mut builder = mailing(System::builder(), &inbox, &[("WAVE_FACTOR", "1"), ("WAVE_INTERVAL", "1h")]);
    for (service, clock) in &clocks {
        for (name, value) in clock.environment() {
            builder = builder.env(service, name, value);
        }
    }
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 9).await;
    shop.stock("PEN", 0).await;
    shop.stock("CUP", 0).await;
    an_erased_customer_is_not_notified(&shop, &inbox).await;
    a_purchase_counts_from_when_it_was_made(&shop, &inbox).await;

    shop.set_gateway_outage(true).await;
    let waiting = shop.order_of("ada@example.com", "MUG", 1, "pm_card_visa").await;
    waits_for_the_gateway(&shop, &waiting).await;
    shop.set_gateway_outage(false).await;
    shop.confirmed(&waiting.id).await;
    let cancel = shop.http().post(shop.at("order", &format!("/orders/{}/cancel", waiting.id)));
    assert_eq!(cancel.bearer_auth(&waiting.cancel_token).send().await.unwrap().status(), 202);
    shop.ends(&waiting.id, ["cancelled", "refunded", "released"]).await;
    shop.notified(&waiting.id, "order_refunded").await;
    shop.system.quiesce().await.unwrap();
}

async fn an_erased_customer_is_not_notified(shop: &Shop, inbox: &Inbox) {
    let order = shop.order_of("gone@example.com", "MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    shop.queue(inbox, &["gone", "ada"], "PEN").await;
    shop.erase("order", "gone@example.com").await;
    shop.reports("PEN", &json!({"waiting": 1})).await;
    shop.restock("PEN", 5).await;
    inbox.mail("ada@example.com", BACK).await;
    shop.a_wave_has_passed(inbox).await;
    assert_eq!(inbox.notified_names(), ["ada"]);
}

async fn a_purchase_counts_from_when_it_was_made(shop: &Shop, inbox: &Inbox) {
    shop.subscribe(inbox, "bea@example.com", "CUP", 5).await;
    shop.restock("CUP", 1).await;
    shop.confirmed(&shop.order_of("bea@example.com", "CUP", 1, "pm_card_visa").await.id).await;
    shop.reports("CUP", &json!({"waiting": 0, "bought": 1})).await;
    shop.request_subscription("bea@example.com", "CUP", 5).await;
    let again = eventually("the second question", async || {
        let mails = inbox.of("bea@example.com");
        mails.iter().filter(|mail| mail.text.contains(CONFIRM)).nth(1).map(|mail| mail.link(CONFIRM))
    });
    assert_eq!(shop.click(&again.await).await, 200);
    shop.reports("CUP", &json!({"waiting": 1, "bought": 0})).await;
}

#[tokio::test]
async fn with_clocks_an_hour_ahead_and_behind_everything_ends_as_it_should() {
    ends_as_it_should([("order", -HOUR), ("payment", HOUR), ("inventory", -HOUR), ("notification", HOUR)])
        .await;
}

#[tokio::test]
async fn with_the_same_clocks_the_other_way_round_it_does_too() {
    ends_as_it_should([("order", HOUR), ("payment", -HOUR), ("inventory", HOUR), ("notification", -HOUR)])
        .await;
}

/// The database's clock wrote the end of the link, so it decides, whatever the service's own clock says meanwhile.
#[tokio::test]
async fn a_confirmation_link_ends_by_the_clock_of_the_database() {
    let (inbox, clock) = (Inbox::open(), WrongClock::ahead_by(0));
    let mut builder = mailing(System::builder(), &inbox, &[]);
    for (name, value) in clock.environment() {
        builder = builder.env("notification", name, value);
    }
    let shop = Shop::with(builder).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("ada@example.com", "PEN", 1).await;
    let link = inbox.mail("ada@example.com", CONFIRM).await.link(CONFIRM);
    clock.set_ahead_by(72 * HOUR);
    assert_eq!(shop.click(&link).await, 200);
    shop.reports("PEN", &json!({"waiting": 1})).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn what_is_due_does_not_wait_until_the_clock_of_postgres_has_caught_up_with_a_jump() {
    let inbox = Inbox::open();
    let clock = WrongClock::ahead_by(0);
    let plan = Plan { environment: &clock.environment(), ..Plan::default() };
    let servers = Arc::new(Servers::planned(plan).await.unwrap());
    let shop =
        Shop::with(mailing(System::builder().servers(servers), &inbox, &[("WAVE_INTERVAL", "1s")])).await;
    shop.stock("MUG", 9).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["ada"], "PEN").await;

    shop.set_gateway_outage(true).await;
    inbox.refuse(true);
    clock.set_ahead_by(HOUR);
    let order = shop.order_of("ada@example.com", "MUG", 1, "pm_card_visa").await;
    waits_for_the_gateway(&shop, &order).await;
    shop.restock("PEN", 5).await;
    shop.refused("PEN", 1).await;

    clock.set_ahead_by(0);
    shop.set_gateway_outage(false).await;
    inbox.refuse(false);
    shop.confirmed(&order.id).await;
    inbox.mail("ada@example.com", BACK).await;
    shop.notified(&order.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
}
