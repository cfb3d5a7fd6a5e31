use chassis::settings::TokenKeys;
use events::values::{OrderId, Quantity, SubscriptionId};
use events::{CancelReason, Item};
use time::OffsetDateTime;

use super::*;
use crate::domain::content::ShortItem;
use crate::domain::tokens::Tokens;

fn templates() -> MailTemplates {
    let linker = Linker {
        tokens: Tokens::new(TokenKeys { current: b"a key for tests alone", previous: None }),
        public_url: "https://tell.example".to_owned(),
    };
    MailTemplates::new(
        Shop { name: "Ben & Jo".to_owned(), url: Some("https://shop.example".to_owned()) },
        linker,
    )
    .unwrap()
}

fn item(name: &str, quantity: i64) -> Item {
    Item {
        sku: "MUG".parse().unwrap(),
        name: name.parse().unwrap(),
        quantity: Quantity::try_from(quantity).unwrap(),
        unit_price: money(1299),
    }
}

fn money(amount: i64) -> Money {
    Money { amount, currency: "EUR".parse().unwrap() }
}

fn order_id() -> OrderId {
    OrderId::new(OffsetDateTime::UNIX_EPOCH)
}

fn cancelled(reason: CancelReason) -> Content {
    let item = item("<b>Blue</b> mug", 2);
    let short = if reason == CancelReason::OutOfStock {
        vec![ShortItem {
            sku: item.sku.clone(),
            name: item.name.clone(),
            wanted: item.quantity,
            subscription: None,
        }]
    } else {
        vec![]
    };
    Content::OrderCancelled {
        order_id: order_id(),
        reason,
        items: vec![item],
        total: money(2598),
        short,
        notify_me: false,
    }
}

#[test]
fn an_order_confirmation_shows_the_items_and_the_prices() {
    let content = Content::OrderConfirmed {
        order_id: order_id(),
        items: vec![item("Blue mug", 2), item("Tea", 1)],
        total: money(3897),
    };
    let text = templates().text(&content).unwrap();
    assert_eq!(text.subject, "Your order is confirmed");
    for part in [
        "Ben & Jo",
        "2 × Blue mug: 25.98 EUR",
        "1 × Tea: 12.99 EUR",
        "Total: 38.97 EUR",
        "https://shop.example",
    ] {
        assert!(text.body.contains(part), "{part} in {}", text.body);
    }
    let html = templates().html(&content).unwrap();
    assert!(html.contains("Ben &amp; Jo") && html.contains("38.97 EUR"), "{html}");
}

#[test]
fn a_cancellation_gives_the_reason_and_escapes_what_others_supplied() {
    use CancelReason::{CustomerRequest, Expired, OutOfStock, PaymentDeclined, PaymentFailed, Unknown};
    let mut bodies = Vec::new();
    for reason in [OutOfStock, PaymentDeclined, PaymentFailed, CustomerRequest, Expired, Unknown] {
        let text = templates().text(&cancelled(reason)).unwrap();
        assert!(!text.subject.is_empty() && !text.subject.contains('\n'));
        bodies.push(text.body);
        let html = templates().html(&cancelled(reason)).unwrap();
        assert!(html.contains("&lt;b&gt;Blue&lt;") && !html.contains("<b>Blue"), "{html}");
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 6, "each reason has a text of its own");
}

#[test]
fn a_refund_shows_the_amount() {
    let content = Content::OrderRefunded { order_id: order_id(), amount: money(2598) };
    assert_eq!(templates().text(&content).unwrap().subject, "Your refund of 25.98 EUR is on its way");
    assert!(templates().html(&content).unwrap().contains("25.98 EUR"));
}

fn confirmation_mail() -> Content {
    Content::ConfirmSubscription {
        subscription_id: SubscriptionId::new(OffsetDateTime::UNIX_EPOCH),
        sku: "MUG".parse().unwrap(),
        name: "Blue mug".to_owned(),
        quantity: Quantity::try_from(2).unwrap(),
        round: 1,
        until: OffsetDateTime::UNIX_EPOCH,
    }
}

fn back(name: &str) -> Content {
    Content::BackInStock {
        subscription_id: SubscriptionId::new(OffsetDateTime::UNIX_EPOCH),
        sku: "MUG".parse().unwrap(),
        name: name.to_owned(),
        price: money(1299),
        quantity: Quantity::try_from(2).unwrap(),
        restocks: 3,
    }
}

const UNSUBSCRIBE: &str = "/subscriptions/unsubscribe?token=";
const REFUSE: &str = "/subscriptions/refuse?token=";

#[test]
fn messages_about_a_subscription_carry_their_links() {
    for (content, paths) in [
        (confirmation_mail(), &["/subscriptions/confirm?token=", UNSUBSCRIBE, REFUSE][..]),
        (back("Blue mug"), &["/c/", "/subscriptions/join?token=", UNSUBSCRIBE, REFUSE]),
        (cancelled(CancelReason::OutOfStock), &["/subscriptions/join?token="]),
        (undoable(), &[UNSUBSCRIBE]),
    ] {
        for path in paths {
            let link = format!("https://tell.example{path}");
            assert!(templates().text(&content).unwrap().body.contains(&link), "{link} in the text");
            assert!(
                templates().html(&content).unwrap().contains(&link.replace('/', "&#x2f;"))
                    || templates().html(&content).unwrap().contains(&link),
                "{link} in the HTML"
            );
        }
    }
}

fn undoable() -> Content {
    let mut content = cancelled(CancelReason::OutOfStock);
    if let Content::OrderCancelled { short, notify_me, .. } = &mut content {
        *notify_me = true;
        short[0].subscription = Some(SubscriptionId::new(OffsetDateTime::UNIX_EPOCH));
    }
    content
}

/// Writes each message to a folder, for a person to look at: `MAIL_SAMPLES=/tmp/mails cargo test --workspace --lib samples`.
#[test]
fn samples_to_look_at() {
    let Some(folder) = std::env::var_os("MAIL_SAMPLES").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let confirmed = Content::OrderConfirmed {
        order_id: order_id(),
        items: vec![
            item("Blue mug", 2),
            item("A tea with a rather long name that has to be wrapped on a phone", 1),
        ],
        total: money(3897),
    };
    let samples = [
        ("confirmed", confirmed),
        ("sold_out", cancelled(CancelReason::OutOfStock)),
        ("declined", cancelled(CancelReason::PaymentDeclined)),
        ("sold_out_subscribed", undoable()),
        ("confirm", confirmation_mail()),
        ("back", back("Blue mug")),
        ("refunded", Content::OrderRefunded { order_id: order_id(), amount: money(2598) }),
    ];
    for (name, content) in samples {
        std::fs::write(folder.join(name).with_extension("html"), templates().html(&content).unwrap())
            .unwrap();
        let text = templates().text(&content).unwrap();
        std::fs::write(
            folder.join(name).with_extension("txt"),
            format!("{}\n\n{}\n", text.subject, text.body),
        )
        .unwrap();
    }
}
