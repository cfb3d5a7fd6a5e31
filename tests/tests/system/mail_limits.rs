//! A limit of mails per mailbox, against orders that use another person's address.

use serde_json::json;
use system_tests::{Inbox, Shop, eventually, mailing, run};
use testkit::System;

const LIMIT: usize = 3;
const ORDERS: usize = 12;

#[tokio::test]
async fn mails_of_one_kind_are_limited_per_mailbox_and_hour_across_all_instances() {
    let inbox = Inbox::open();
    let builder = System::builder().instances("notification", 2);
    let settings = [("MAILS_PER_RECIPIENT_PER_HOUR", "3")];
    let shop = Shop::with(mailing(builder, &inbox, &settings)).await;
    shop.stock("MUG", 100).await;
    for number in 0..ORDERS {
        // Different addresses of the same mailbox.
        shop.order_of(&format!("victim+{number}@example.com"), "MUG", 1, "pm_card_visa").await;
    }
    let other = shop.order("MUG", 1, "pm_card_visa").await.id;
    inbox.mail("ada@example.com", &other).await;
    let failed = eventually("the mails beyond the limit have failed", async || {
        let rows = shop.notifications("kind=order_confirmed&status=failed&limit=200").await;
        (rows.len() == ORDERS - LIMIT).then_some(rows)
    })
    .await;
    assert!(failed.iter().all(|row| row["channel"] == "smtp"), "the log is not limited");
    let to_victim = || (0..ORDERS).map(|number| inbox.of(&format!("victim+{number}@example.com")).len());
    assert_eq!(to_victim().sum::<usize>(), LIMIT);

    let resent = shop.http().post(shop.at("notification", "/notifications/resend"));
    let cause = json!({"cause": "as many messages of this kind"});
    assert_eq!(shop.operator(resent.json(&cause)).send().await.unwrap().status(), 200);
    eventually("the resent mails have arrived", async || {
        (to_victim().sum::<usize>() == ORDERS).then_some(())
    })
    .await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn the_limit_holds_for_messages_whose_contact_arrived_after_them() {
    let inbox = Inbox::open();
    let builder = System::builder().not_started("notification");
    let shop = Shop::with(mailing(builder, &inbox, &[("MAILS_PER_RECIPIENT_PER_HOUR", "3")])).await;
    shop.stock("MUG", 100).await;
    for number in 0..ORDERS {
        shop.order_of(&format!("victim+{number}@example.com"), "MUG", 1, "pm_card_visa").await;
    }
    run(&shop, "notification", &["rewind", "customers", "--to", "end"]).await.unwrap();
    shop.system.service("notification").start().await.unwrap();
    let smtp = async |status: &str| {
        let mut rows = shop.notifications(&format!("kind=order_confirmed&status={status}&limit=200")).await;
        rows.retain(|row| row["channel"] == "smtp");
        rows.len()
    };
    eventually("all messages wait for their contacts", async || {
        (smtp("waiting_for_contact").await == ORDERS).then_some(())
    })
    .await;
    run(&shop, "notification", &["rewind", "customers", "--to", "beginning"]).await.unwrap();
    eventually("the messages beyond the limit have failed", async || {
        (smtp("failed").await == ORDERS - LIMIT).then_some(())
    })
    .await;
    assert_eq!(smtp("sent").await, LIMIT);
    shop.system.quiesce().await.unwrap();
}
