//! Links in mails: GET only shows a page, POST acts, so that a mail scanner changes nothing.

use reqwest::{Method, StatusCode};
use serde_json::json;
use system_tests::{BACK, Inbox, Shop};

/// Follows a link like a mail scanner.
async fn scan(shop: &Shop, link: &str) {
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let answer = shop.http().request(method, link).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{link}");
    }
}

#[tokio::test]
async fn a_mail_scanner_that_follows_every_link_changes_nothing() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a"], "PEN").await;
    shop.request_subscription("b@example.com", "PEN", 1).await;
    for (name, path) in [
        ("b", "/subscriptions/confirm"),
        ("b", "/subscriptions/unsubscribe"),
        ("a", "/subscriptions/unsubscribe"),
    ] {
        scan(&shop, &inbox.mail(&format!("{name}@example.com"), path).await.link(path)).await;
    }
    shop.reports("PEN", &json!({"waiting": 1})).await;
    shop.restock("PEN", 5).await;
    let mail = inbox.mail("a@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["a"], "b never confirmed");
    for path in [BACK, "/subscriptions/join", "/subscriptions/unsubscribe"] {
        scan(&shop, &mail.link(path)).await;
    }
    shop.reports("PEN", &json!({"clicked": 0, "waiting": 0, "notified": 1})).await;

    // A POST to the same links acts.
    assert_eq!(shop.click(&mail.link(BACK)).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.click(&mail.link(BACK)).await, StatusCode::NO_CONTENT);
    shop.reports("PEN", &json!({"clicked": 1})).await;
    // b confirms later, and is notified of the existing stock.
    let confirm = inbox.mail("b@example.com", "/subscriptions/confirm").await.link("/subscriptions/confirm");
    assert_eq!(shop.click(&confirm).await, StatusCode::OK);
    inbox.mail("b@example.com", BACK).await;
}

#[tokio::test]
async fn a_second_post_shows_the_same_page() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("a@example.com", "PEN", 1).await;
    let mail = inbox.mail("a@example.com", "/subscriptions/confirm").await;
    // Each page has a new nonce for its style, so only status, title and content are compared.
    let words = |(status, page): (StatusCode, String)| {
        let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        (
            status,
            title.unwrap_or_default().to_owned(),
            page.split("<main>").nth(1).unwrap_or_default().to_owned(),
        )
    };
    for path in ["/subscriptions/confirm", "/subscriptions/unsubscribe"] {
        let link = mail.link(path);
        let first = words(shop.post(&link).await);
        assert_eq!(first.0, StatusCode::OK, "{first:?}");
        assert_eq!(words(shop.post(&link).await), first);
        let shown = shop.http().get(&link).send().await.unwrap();
        assert_eq!(
            words((shown.status(), shown.text().await.unwrap())),
            first,
            "a later GET shows the same page"
        );
    }
}

#[tokio::test]
async fn one_click_unsubscribe_by_the_mail_header_ends_the_subscription() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.queue(&inbox, &["a", "b"], "PEN").await;
    let question = inbox.mail("a@example.com", "/subscriptions/confirm").await;
    let list_unsubscribe = |mail: &system_tests::Mail| {
        assert_eq!(mail.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        let header = mail.header("List-Unsubscribe").unwrap();
        header.trim_start_matches('<').trim_end_matches('>').to_owned()
    };
    assert_eq!(shop.click(&list_unsubscribe(&question)).await, StatusCode::OK);
    shop.restock("PEN", 5).await;
    let notified = inbox.mail("b@example.com", BACK).await;
    shop.a_wave_has_passed(&inbox).await;
    assert_eq!(inbox.notified_names(), ["b"]);
    // b subscribes to the next restock, then unsubscribes.
    assert_eq!(shop.click(&notified.link("/subscriptions/join")).await, StatusCode::OK);
    shop.reports("PEN", &json!({"waiting": 1})).await;
    assert_eq!(shop.click(&list_unsubscribe(&notified)).await, StatusCode::OK);
}

#[tokio::test]
async fn pages_cannot_be_framed_send_no_referrer_and_load_nothing_external() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[("SHOP_NAME", "<b>Bobby's</b>")]).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("a@example.com", "PEN", 1).await;
    let mail = inbox.mail("a@example.com", "/subscriptions/confirm").await;
    let page = shop.http().get(mail.link("/subscriptions/confirm")).send().await.unwrap();
    let header = |name: &str| page.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let policy = header("content-security-policy");
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
    {
        assert!(policy.contains(directive), "{policy}");
    }
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "no-store");
    assert!(header("content-type").starts_with("text/html"), "{}", header("content-type"));
    let text = page.text().await.unwrap();
    assert!(!text.contains("<b>Bobby") && text.contains("Bobby"), "{text}");
}

#[tokio::test]
async fn a_forged_link_or_one_for_another_purpose_does_nothing() {
    let inbox = Inbox::open();
    let shop = Shop::with_mail(&inbox, &[]).await;
    shop.stock("PEN", 0).await;
    shop.request_subscription("a@example.com", "PEN", 1).await;
    let mail = inbox.mail("a@example.com", "/subscriptions/confirm").await;
    let [confirm, unsubscribe] =
        ["/subscriptions/confirm", "/subscriptions/unsubscribe"].map(|path| mail.link(path));
    let token = confirm.split("token=").nth(1).unwrap();
    let ends = unsubscribe.split("token=").nth(1).unwrap();
    // A token begins with its content and ends with its signature.
    let (front, back) = token.split_at(token.len() - 8);
    let forged = format!("{front}{}{}", if back.starts_with('A') { 'B' } else { 'A' }, &back[1..]);
    let at = |path: &str, token: &str| format!("{}/{path}{token}", shop.system.url("notification"));
    let shorter = &token[..token.len() - 1];
    for link in [
        at("subscriptions/unsubscribe?token=", token),
        at("subscriptions/join?token=", token),
        at("c/", token),
        at("subscriptions/confirm?token=", ends),
        at("subscriptions/join?token=", ends),
        at("c/", ends),
        at("subscriptions/confirm?token=", &forged),
        at("subscriptions/confirm?token=", shorter),
        at("subscriptions/confirm?token=", "nothing"),
        at("subscriptions/confirm", ""),
    ] {
        for method in [Method::GET, Method::POST] {
            let status = shop.http().request(method, &link).send().await.unwrap().status();
            assert!(matches!(status.as_u16(), 404 | 422), "{link}: {status}");
        }
    }
    shop.reports("PEN", &json!({"waiting": 0, "clicked": 0})).await;
}
