//! The golden files fix the wire format: an event's JSON must not change, and older JSON must still parse.
//!
//! `golden/TYPE.json` is the JSON of this version (`UPDATE_GOLDEN=1 cargo test --workspace --test golden` rewrites it);
//! `golden/TYPE.VARIANT.json` is JSON of an older version, which every later one must still read.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::fs;
use std::path::PathBuf;

use envelope::Event;
use events::values::{ClaimHash, Money, Quantity};
use events::*;
use time::OffsetDateTime;
use uuid::Uuid;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn check<E: Event>(samples: &[E]) {
    for sample in samples {
        let (ce_type, data) = sample.encode().unwrap();
        let Some(data) = data else { continue };
        let value: serde_json::Value = serde_json::from_slice(&data).unwrap();
        let json = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
        let file = golden().join(format!("{ce_type}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &json).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{} is missing", file.display()));
        assert_eq!(kept, json, "the JSON of {ce_type} differs from its golden file");
    }
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let ce_type: String = name.split('.').take(3).collect::<Vec<_>>().join(".");
        if E::knows(&ce_type) {
            let data = fs::read(&path).unwrap();
            E::parse(&ce_type, "", Some(&data)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

fn money() -> Money {
    Money { amount: 2598, currency: "EUR".parse().unwrap() }
}

fn quantity() -> Quantity {
    2.try_into().unwrap()
}

fn items() -> Vec<Item> {
    vec![Item {
        sku: "MUG-BLUE".parse().unwrap(),
        name: "Blue mug".parse().unwrap(),
        quantity: quantity(),
        unit_price: Money { amount: 1299, ..money() },
    }]
}

fn lines() -> Vec<Line> {
    vec![Line { sku: "MUG-BLUE".parse().unwrap(), quantity: quantity() }]
}

fn short() -> Vec<ShortLine> {
    vec![ShortLine { sku: "MUG-BLUE".parse().unwrap(), wanted: quantity(), available: 1 }]
}

const ID: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);

#[test]
fn orders() {
    let (order_id, customer_id) = (ID.into(), ID.into());
    let claim = Some(ClaimHash::of("claim"));
    check(&[
        OrderEvent::Placed(OrderPlaced {
            order_id,
            customer_id,
            items: items(),
            total: money(),
            payment_method: "pm_card_visa".parse().unwrap(),
            notify_me: true,
            claim: claim.clone(),
            placed_at: OffsetDateTime::UNIX_EPOCH,
        }),
        OrderEvent::Confirmed(OrderConfirmed {
            order_id,
            customer_id,
            items: items(),
            total: money(),
            claim,
        }),
        OrderEvent::Cancelled(OrderCancelled {
            order_id,
            customer_id,
            reason: CancelReason::OutOfStock,
            items: items(),
            total: money(),
            short: short(),
            notify_me: true,
        }),
    ]);
}

#[test]
fn payments() {
    let (order_id, amount) = (ID.into(), money());
    check(&[
        PaymentEvent::Authorized(PaymentAuthorized { order_id, amount, gateway_id: Some("ch_0192".into()) }),
        PaymentEvent::Declined(PaymentDeclined { order_id, amount, reason: DeclineReason::CardDeclined }),
        PaymentEvent::Captured(PaymentCaptured { order_id, amount }),
        PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, amount }),
        PaymentEvent::Voided(PaymentVoided { order_id, amount }),
        PaymentEvent::Refunded(PaymentRefunded { order_id, amount }),
    ]);
}

#[test]
fn reservations() {
    let order_id = ID.into();
    check(&[
        ReservationEvent::Reserved(StockReserved { order_id, lines: lines() }),
        ReservationEvent::Rejected(StockRejected { order_id, short: short() }),
        ReservationEvent::Committed(StockCommitted { order_id, lines: lines() }),
        ReservationEvent::Released(StockReleased { order_id, lines: lines() }),
    ]);
}

#[test]
fn stock_and_products() {
    let level = StockLevel { sku: "MUG-BLUE".parse().unwrap(), available: 7, on_hand: 9, restocks: 3 };
    check(&[StockEvent::Replenished(level.clone()), StockEvent::Changed(level)]);
    let product =
        Product { sku: "MUG-BLUE".parse().unwrap(), name: "Blue mug".parse().unwrap(), price: money() };
    check(&[ProductEvent::Listed(product.clone()), ProductEvent::Delisted(product)]);
}

#[test]
fn customers() {
    let registered = CustomerEvent::Registered(CustomerRegistered {
        customer_id: ID.into(),
        email: "ada@example.com".parse().unwrap(),
        registered_at: OffsetDateTime::UNIX_EPOCH,
    });
    check(&[registered]);
    let erased = CustomerEvent::Erased(CustomerErased { customer_id: ID.into() });
    let (ce_type, data) = erased.encode().unwrap();
    assert_eq!(data, None, "an erasure is a tombstone");
    assert_eq!(CustomerEvent::parse(&ce_type, &erased.key(), None).unwrap(), erased);
}

#[test]
fn notifications() {
    let (delivery_id, subscription_id, order_id) = (ID.into(), ID.into(), ID.into());
    check(&[
        NotificationEvent::Sent(Delivery {
            delivery_id,
            kind: NotificationKind::OrderConfirmed,
            channel: Channel::Log,
            order_id: Some(order_id),
            sku: None,
            subscription_id: None,
            restocks: None,
        }),
        NotificationEvent::Failed(DeliveryFailed {
            delivery: Delivery {
                delivery_id,
                kind: NotificationKind::BackInStock,
                channel: Channel::Smtp,
                order_id: None,
                sku: Some("MUG-BLUE".parse().unwrap()),
                subscription_id: Some(subscription_id),
                restocks: Some(3),
            },
            cause: "the mail server refused the recipient".into(),
        }),
        NotificationEvent::SubscriptionConfirmed(SubscriptionConfirmed {
            subscription_id,
            sku: "MUG-BLUE".parse().unwrap(),
            quantity: quantity(),
            order_id: Some(order_id),
        }),
        NotificationEvent::SubscriptionConverted(SubscriptionConverted {
            subscription_id,
            sku: "MUG-BLUE".parse().unwrap(),
            order_id,
            claim: ClaimHash::of("claim"),
            units: 2,
        }),
    ]);
}

#[test]
fn a_value_of_a_newer_version_parses_as_unknown() {
    let reason: CancelReason = serde_json::from_str("\"struck_by_lightning\"").unwrap();
    assert_eq!(reason, CancelReason::Unknown);
    let event = OrderEvent::parse("order.teleported.v1", "", Some(b"{}"));
    assert!(matches!(event, Err(envelope::ParseError::UnknownType)));
}
