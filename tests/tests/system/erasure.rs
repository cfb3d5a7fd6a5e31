//! An erasure removes a person from all databases and topics; the person may order again.

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{Inbox, Shop, eventually, tables_with};
use testkit::{System, topics};

const ADA: &str = "ada.lovelace@example.com";
/// A subscriber who never orders.
const EVE: &str = "eve.polastri@example.com";

async fn shop_with(inbox: &Inbox) -> Shop {
    let shop = Shop::with(System::builder().env("notification", "SMTP_URL", inbox.url())).await;
    shop.stock("MUG", 50).await;
    shop.stock("PEN", 0).await;
    shop
}

/// Places an order of Ada with `notify_me`.
async fn order(shop: &Shop, sku: &str) -> Value {
    let body = json!({"email": "Ada.Lovelace@Example.com", "payment_method": "pm_card_visa", "notify_me": true,
                      "items": [{"sku": sku, "quantity": 1}]});
    let (status, order) = shop.try_order(None, &body).await;
    assert_eq!(status, 202, "{order}");
    assert!(order.get("customer_id").is_none(), "the customer id is only for the operator: {order}");
    order
}

async fn waiting(shop: &Shop, sku: &str) -> i64 {
    shop.report(sku).await["waiting"].as_i64().unwrap_or_default()
}

async fn is_nowhere(shop: &Shop, address: &str) {
    eventually(&format!("no database contains {address}"), async || {
        let tables = tables_with(shop, address).await;
        tables.is_empty().then_some(())
    })
    .await;
}

/// Returns the topics whose records contain the address.
async fn topics_with(shop: &Shop, address: &str) -> Vec<String> {
    let records = topics::read(shop.system.brokers(), shop.system.topic_prefix()).await.unwrap();
    assert!(records.len() > 10, "{} records", records.len());
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(address);
    let guilty = |record: &&topics::Record| {
        [&record.key, &record.value, &record.headers].into_iter().any(|part| holds(part))
    };
    records.iter().filter(guilty).map(|record| record.topic.clone()).collect()
}

/// Lets Kafka compact the topic of the contacts at once, which otherwise takes days.
async fn compact(shop: &Shop) {
    let soon = [("cleanup.policy", "compact"), ("max.compaction.lag.ms", "200"), ("segment.ms", "200")];
    topics::configure(shop.system.brokers(), &shop.system.topic("customers"), &soon).await.unwrap();
}

/// Republishes the customers, as the owner does daily, which closes the segment that contains the address.
async fn republish(shop: &Shop) {
    let mut republish = shop.system.command("order");
    assert!(republish.args(["republish", "customers"]).status().await.unwrap().success());
}

#[tokio::test]
async fn an_erased_customer_is_in_no_database_and_no_topic_and_may_order_again() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    let first = order(&shop, "MUG").await;
    let sold_out = order(&shop, "PEN").await;
    inbox.mail(ADA, first["id"].as_str().unwrap()).await;
    shop.ends(sold_out["id"].as_str().unwrap(), ["cancelled", "voided", "rejected"]).await;
    eventually("she waits for the pen", async || (waiting(&shop, "PEN").await == 1).then_some(())).await;
    shop.system.quiesce().await.unwrap();
    assert!(!tables_with(&shop, ADA).await.is_empty(), "the search finds existing data");
    let holders = topics_with(&shop, ADA).await;
    assert_eq!(holders, [shop.system.topic("customers")], "the address is on one topic only");

    let customer = shop.customer_of(first["id"].as_str().unwrap()).await;
    for _again in 0..2 {
        let delete = shop.http().delete(shop.at("order", &format!("/customers/{customer}")));
        assert_eq!(shop.operator(delete).send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    is_nowhere(&shop, ADA).await;
    assert_eq!(waiting(&shop, "PEN").await, 0);
    let rows = shop.notifications(&format!("order_id={}", first["id"].as_str().unwrap())).await;
    assert!(rows.len() == 2 && rows.iter().all(|row| row["recipient"].is_null()), "{rows:?}");
    assert_eq!(shop.customer_of(first["id"].as_str().unwrap()).await, customer);
    compact(&shop).await;
    eventually("no topic contains the address", async || {
        // Repeated, since a record closes a segment only after the setting has reached the broker.
        republish(&shop).await;
        topics_with(&shop, ADA).await.is_empty().then_some(())
    })
    .await;

    // A rewind does not bring the customer back.
    let mut rewind = shop.system.command("notification");
    assert!(rewind.args(["rewind", "customers", "--to", "beginning"]).status().await.unwrap().success());
    shop.system.quiesce().await.unwrap();
    is_nowhere(&shop, ADA).await;
    let mails = inbox.of(ADA).len();
    shop.restock("PEN", 5).await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(inbox.of(ADA).len(), mails, "no back-in-stock mail to an erased customer");

    let later = order(&shop, "PEN").await;
    assert_ne!(shop.customer_of(later["id"].as_str().unwrap()).await, customer);
    shop.confirmed(later["id"].as_str().unwrap()).await;
    inbox.mail(ADA, later["id"].as_str().unwrap()).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn an_address_is_erased_whether_it_ordered_or_only_subscribed() {
    let inbox = Inbox::open();
    let shop = shop_with(&inbox).await;
    shop.request_subscription(EVE, "PEN", 1).await;
    let confirm = inbox.mail(EVE, "confirm").await.link("/subscriptions/confirm");
    assert_eq!(shop.click(&confirm).await, StatusCode::OK);
    let first = order(&shop, "MUG").await;
    inbox.mail(ADA, first["id"].as_str().unwrap()).await;
    eventually("one waits", async || (waiting(&shop, "PEN").await == 1).then_some(())).await;
    shop.system.quiesce().await.unwrap();

    let customer = shop.customer_of(first["id"].as_str().unwrap()).await;
    shop.erase("order", "ADA.Lovelace@example.COM").await;
    shop.erase("notification", "Eve.Polastri@example.com").await;
    for service in ["order", "notification"] {
        shop.erase(service, "never.heard.of@example.com").await;
    }
    is_nowhere(&shop, ADA).await;
    is_nowhere(&shop, EVE).await;
    is_nowhere(&shop, "never.heard.of@example.com").await;
    assert_eq!(waiting(&shop, "PEN").await, 0);
    // The confirmation link in Eve's mail has no effect any more, but still shows a page.
    assert_eq!(shop.http().get(&confirm).send().await.unwrap().status(), StatusCode::OK);

    let later = order(&shop, "MUG").await;
    assert_ne!(shop.customer_of(later["id"].as_str().unwrap()).await, customer);
    inbox.mail(ADA, later["id"].as_str().unwrap()).await;
    shop.request_subscription(EVE, "PEN", 1).await;
    eventually("a new confirmation request to Eve", async || (inbox.of(EVE).len() == 2).then_some(())).await;
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_queued_mail_is_not_sent_to_an_erased_address() {
    let inbox = Inbox::open();
    inbox.refuse(true);
    let shop = shop_with(&inbox).await;
    let first = order(&shop, "MUG").await;
    let id = first["id"].as_str().unwrap();
    eventually("the mail was refused", async || inbox.offered(ADA).first().cloned()).await;
    shop.erase("order", ADA).await;
    let failed = eventually("the mail is given up", async || {
        let rows = shop.notifications(&format!("order_id={id}&status=failed")).await;
        rows.into_iter().find(|row| row["channel"] == "smtp")
    })
    .await;
    assert_eq!(failed["cause"], "erased", "{failed}");
    inbox.refuse(false);
    is_nowhere(&shop, ADA).await;
    shop.system.quiesce().await.unwrap();
    assert_eq!(inbox.of(ADA).len(), 0);
}

#[tokio::test]
async fn an_erasure_removes_the_address_at_once_even_while_kafka_is_down() {
    let shop = Shop::with(System::builder().private_servers()).await;
    shop.stock("MUG", 50).await;
    shop.system.kafka().kill();
    let placed = order(&shop, "MUG").await;
    let customer = shop.customer_of(placed["id"].as_str().unwrap()).await;
    assert!(
        tables_with(&shop, ADA).await.contains(&"order: broker.outbox".to_owned()),
        "its event waits for Kafka"
    );
    shop.erase("order", ADA).await;
    assert_eq!(
        tables_with(&shop, ADA).await,
        [""; 0],
        "no database contains the address when the erasure is answered"
    );

    shop.system.kafka().start().await.unwrap();
    shop.confirmed(placed["id"].as_str().unwrap()).await;
    shop.system.quiesce().await.unwrap();
    let records = topics::read(shop.system.brokers(), shop.system.topic_prefix()).await.unwrap();
    let of_customer = |record: &&topics::Record| record.key == customer.as_bytes();
    let last = records.iter().rfind(of_customer).expect("the tombstone was published");
    assert!(last.value.is_empty(), "the customer's last record is the tombstone");
    is_nowhere(&shop, ADA).await;
}
