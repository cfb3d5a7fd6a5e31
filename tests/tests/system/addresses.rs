//! All spellings of an address are one customer, also those that an earlier version stored as different customers.

use serde_json::json;
use system_tests::{BACK, Inbox, Shop, tables_with};

const CANONICAL: &str = "ada@xn--bcher-kva.example";
const SPELLINGS: [&str; 4] = [
    "Ada@bücher.example",
    "ada@bu\u{308}cher.example.",
    "\"ADA\"@XN--BCHER-KVA.example",
    "ada@ｂücher．example",
];

/// Places an order and returns its customer's id.
async fn customer_of(shop: &Shop, email: &str) -> String {
    shop.customer_of(&shop.order_of(email, "MUG", 1, "pm_card_visa").await.id).await
}

async fn erase(shop: &Shop, email: &str) {
    for service in ["order", "notification"] {
        shop.erase(service, email).await;
    }
}

/// Checks that no database contains the domain of the address in any spelling.
async fn is_nowhere(shop: &Shop) {
    shop.system.quiesce().await.unwrap();
    for part in ["xn--bcher-kva", "bücher", "bu\u{308}cher"] {
        assert_eq!(tables_with(shop, part).await, [""; 0], "{part:?}");
    }
}

#[tokio::test]
async fn all_spellings_of_an_address_are_one_customer_and_each_of_them_erases_it() {
    let shop = Shop::open().await;
    shop.stock("MUG", 50).await;
    let customer = customer_of(&shop, CANONICAL).await;
    for spelling in SPELLINGS {
        assert_eq!(customer_of(&shop, spelling).await, customer, "{spelling:?}");
    }
    shop.system.quiesce().await.unwrap();
    assert!(!tables_with(&shop, CANONICAL).await.is_empty(), "the canonical form is stored");
    erase(&shop, SPELLINGS[1]).await;
    is_nowhere(&shop).await;
    assert_ne!(customer_of(&shop, CANONICAL).await, customer);
    shop.system.quiesce().await.unwrap();
}

/// Replaces the stored `email` by the spelling that an earlier version stored.
async fn respell(shop: &Shop, email: &str, older: &str) {
    for (service, table) in
        [("order", "customers"), ("notification", "contacts"), ("notification", "subscriptions")]
    {
        let sql = format!("UPDATE {table} SET email = '{older}' WHERE email = '{email}'");
        shop.system.in_database(service, &sql).await.unwrap();
    }
}

async fn migrate(shop: &Shop) {
    for service in ["order", "notification"] {
        let mut migrate = shop.system.command(service);
        migrate.arg("migrate").env("MIGRATE_DATABASE_URL", shop.system.database_url(service));
        assert!(migrate.status().await.unwrap().success(), "{service}");
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn migrate_merges_customers_and_subscriptions_whose_addresses_are_equal() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("MUG", 50).await;
    shop.stock("PEN", 0).await;
    let older = [("a@example.com", "ada@bücher.example"), ("b@example.com", "ada@bu\u{308}cher.example")];
    let mut customers = Vec::new();
    for (email, _) in older {
        customers.push(customer_of(&shop, email).await);
        shop.subscribe(&inbox, email, "PEN", 1).await;
    }
    shop.reports("PEN", &json!({"waiting": 2})).await;
    shop.system.quiesce().await.unwrap();
    for (email, older) in older {
        respell(&shop, email, older).await;
    }

    for _again in 0..2 {
        migrate(&shop).await;
        shop.reports("PEN", &json!({"waiting": 1})).await;
        let customer = customer_of(&shop, CANONICAL).await;
        assert!(customers.contains(&customer), "no third customer");
    }
    shop.restock("PEN", 5).await;
    inbox.mail(CANONICAL, BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    let notified = inbox.back_in_stock().iter().filter(|mail| mail.to == CANONICAL).count();
    assert_eq!(notified, 1, "exactly one back-in-stock mail");

    erase(&shop, CANONICAL).await;
    is_nowhere(&shop).await;
}

#[tokio::test]
async fn migrate_erases_a_customer_whose_stored_address_is_invalid() {
    let shop = Shop::open().await;
    shop.stock("MUG", 50).await;
    let customer = customer_of(&shop, "a@example.com").await;
    shop.system.quiesce().await.unwrap();
    respell(&shop, "a@example.com", "a@no_domain.example").await;
    migrate(&shop).await;
    assert_eq!(tables_with(&shop, "no_domain").await, [""; 0]);
    assert_ne!(customer_of(&shop, "a@example.com").await, customer);
    shop.system.quiesce().await.unwrap();
}
