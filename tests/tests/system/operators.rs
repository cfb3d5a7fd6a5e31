//! Operators: tokens, the audit log, guesses, and changed secrets.

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use system_tests::{BACK, Inbox, Shop, eventually, problem};
use testkit::System;

#[tokio::test]
async fn wrong_tokens_are_rate_limited_while_the_right_one_is_accepted() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    let cancel = shop.at("order", &format!("/orders/{}/cancel", order.id));
    let stock = shop.at("inventory", "/products/MUG/stock");
    for (method, url) in [(reqwest::Method::PUT, &stock), (reqwest::Method::POST, &cancel)] {
        let guess = async |token: &str| {
            let request = shop.http().request(method.clone(), url).bearer_auth(token);
            request.json(&json!({"on_hand": 5})).send().await.unwrap()
        };
        let mut statuses = Vec::new();
        for number in 0..60 {
            let answer = guess(&format!("a wrong token {number}")).await;
            statuses.push(answer.status().as_u16());
            problem(answer, *statuses.last().unwrap()).await;
        }
        assert!(statuses.starts_with(&[401; 30]) && statuses.ends_with(&[429; 10]), "{statuses:?}");
        let without = shop.http().request(method.clone(), url).send().await.unwrap();
        assert_eq!(without.status(), 401, "a request without a token is not a guess");
        assert!(guess(shop.system.admin_token()).await.status().is_success());
    }
    assert_eq!(
        shop.http().post(&cancel).bearer_auth(&order.cancel_token).send().await.unwrap().status(),
        202
    );
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn each_action_of_an_operator_is_logged() {
    let (ada, bob) = ("0123456789abcdef of ada", "0123456789abcdef of bob");
    let builder = System::builder().env_all("OPERATOR_TOKENS", format!("ada:{ada},bob:{bob}"));
    let shop = Shop::with(builder.env_all("RUST_LOG", "warn")).await;
    let product = json!({"name": "Pen", "price": {"amount": 100, "currency": "EUR"}});
    let put = shop.http().put(shop.at("inventory", "/products/PEN?note=secret")).bearer_auth(ada);
    assert_eq!(put.json(&product).send().await.unwrap().status(), 201);
    let restock = shop.http().post(shop.at("inventory", "/products/NONE/restock")).bearer_auth(bob);
    assert_eq!(restock.json(&json!({"quantity": 1})).send().await.unwrap().status(), 404);
    let get = shop.http().get(shop.at("inventory", "/products/PEN"));
    assert_eq!(get.send().await.unwrap().status(), 200, "not an operator's request");
    let erase = shop.operator(shop.http().post(shop.at("order", "/erasures")));
    assert_eq!(erase.json(&json!({"email": "eve@example.com"})).send().await.unwrap().status(), 202);

    let acts = async |service: &str, count: usize| {
        eventually("the actions are in the log", async || {
            let log = shop.system.service(service).output();
            let acts: Vec<String> =
                log.lines().filter(|line| line.contains("operator=")).map(str::to_owned).collect();
            (acts.len() >= count).then_some(acts)
        })
        .await
    };
    let inventory = acts("inventory", 2).await;
    for (line, words) in inventory.iter().zip([
        ["operator=ada", "method=PUT", "path=/products/PEN ", "status=201"],
        ["operator=bob", "method=POST", "path=/products/NONE/restock", "status=404"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert!(!line.contains("secret") && !line.contains("0123456789abcdef"), "{line}");
    }
    assert_eq!(inventory.len(), 2, "{inventory:?}");
    let order = acts("order", 1).await.join("\n");
    assert!(
        order.contains("operator=admin") && order.contains("path=/erasures") && !order.contains("eve@"),
        "{order}"
    );
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_too_short_is_refused_at_startup() {
    let shop = Shop::open().await;
    for (name, value) in [("ADMIN_TOKEN", "a"), ("TOKEN_KEY_PREVIOUS", "short"), ("CORS_ORIGINS", "null")] {
        let check = shop.system.command("notification").arg("check").env(name, value).output().await.unwrap();
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(!check.status.success(), "{name}={value}");
        assert!(said.contains(if name == "CORS_ORIGINS" { "https://shop.example" } else { name }), "{said}");
    }
}

#[tokio::test]
async fn after_a_change_of_the_token_key_old_and_new_links_work() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    let subscriber = |sku: &str| format!("{}@example.com", sku.to_lowercase());
    for sku in ["OLD", "NEW"] {
        shop.stock(sku, 0).await;
        shop.subscribe(&inbox, &subscriber(sku), sku, 1).await;
    }
    shop.restock("OLD", 5).await;
    let claim = async |sku: &str| {
        let mail = inbox.mail(&subscriber(sku), BACK).await;
        mail.link(BACK).rsplit('/').next().unwrap().to_owned()
    };
    let old = claim("OLD").await;
    shop.system.quiesce().await.unwrap();
    // Simulates that the claims of waiting subscribers were made with another TOKEN_KEY.
    let made_before = "UPDATE subscriptions SET claim = md5(id::text) WHERE sku = 'NEW'";
    shop.system.in_database("notification", made_before).await.unwrap();
    let notification = shop.system.service("notification");
    assert!(notification.stop(Duration::from_secs(10)).await);
    notification.start().await.unwrap();
    shop.restock("NEW", 5).await;
    let new = claim("NEW").await;
    for (sku, claim) in [("OLD", old), ("NEW", new)] {
        let body: Value = json!({"email": subscriber(sku), "payment_method": "pm_card_visa", "claim": claim,
                                 "items": [{"sku": sku, "quantity": 1}]});
        assert_eq!(shop.try_order(None, &body).await.0, StatusCode::ACCEPTED.as_u16());
        shop.reports(sku, &json!({"converted": 1})).await;
    }
    shop.system.quiesce().await.unwrap();
}
