//! What the service publishes of its deliveries is enough to make their rows again, and what is gone on purpose is not
//! missed.

use events::CancelReason;
use events::values::{Money, OrderId, Quantity, Sku};

use super::*;
use crate::deliver::content::Content;
use crate::deliver::delivery::{self, Verdict};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn one() -> Quantity {
    1.try_into().unwrap()
}

fn sku() -> Sku {
    "MUG".parse().unwrap()
}

fn contents() -> [Content; 5] {
    let (order_id, subscription_id) = (OrderId::new(NOW), SubscriptionId::new(NOW));
    let money = Money { amount: 1299, currency: "EUR".parse().unwrap() };
    let (items, name) = (Vec::new(), "Blue mug".to_owned());
    [
        Content::OrderConfirmed { order_id, items: items.clone(), total: money },
        Content::OrderCancelled {
            order_id,
            reason: CancelReason::OutOfStock,
            items,
            total: money,
            short: Vec::new(),
            notify_me: true,
        },
        Content::OrderRefunded { order_id, amount: money },
        Content::ConfirmSubscription {
            subscription_id,
            sku: sku(),
            name: name.clone(),
            quantity: one(),
            round: 1,
            until: NOW,
        },
        Content::BackInStock {
            subscription_id,
            sku: sku(),
            name,
            price: money,
            quantity: one(),
            restocks: 7,
        },
    ]
}

/// What the service publishes when a delivery with this content has come to its end.
fn published(content: &Content, verdict: &Verdict) -> NotificationEvent {
    delivery::event(DeliveryId::new(NOW), content, Channel::Smtp, verdict).unwrap()
}

fn told(event: &NotificationEvent) -> Told {
    let version = Sequence::NONE.next();
    match event {
        NotificationEvent::Sent(sent) => Told::sent(sent, version, NOW),
        NotificationEvent::Failed(failed) => Told::failed(failed, version, NOW),
        other => panic!("{other:?}"),
    }
}

fn empty() -> State {
    State {
        deliveries: BTreeMap::new(),
        subscriptions: BTreeMap::new(),
        told: BTreeMap::new(),
        facts: BTreeMap::new(),
        first_kept: DeliveryId::new(NOW + time::Duration::DAY).uuid(),
        left_out: Sequence::NONE,
    }
}

#[test]
fn an_event_has_what_its_row_needs() {
    for content in contents() {
        for verdict in [Verdict::Sent, Verdict::Failed("refused".to_owned())] {
            let told = told(&published(&content, &verdict));
            let made = told.content.as_ref().unwrap();
            assert_eq!(made.kind(), content.kind());
            assert_eq!(made.order_id(), content.order_id());
            assert_eq!(made.sku(), content.sku());
            assert_eq!(made.subscription_id(), content.subscription_id());
            assert_eq!(made.restocks(), content.restocks());
            assert_eq!((told.kind, told.order), (content.kind(), content.order_id()));
            assert_eq!((told.subscription, told.restocks), (content.subscription_id(), content.restocks()));
            assert_eq!(told.cause.is_some(), verdict != Verdict::Sent);
        }
    }
}

#[test]
fn what_was_purged_or_cannot_be_made_is_not_missed() {
    let mut state = empty();
    let (old, new) = (DeliveryId::new(NOW), DeliveryId::new(NOW + 2 * time::Duration::DAY));
    let many = Sequence::from_i64(1_000_000).unwrap();
    assert!(state.seen_of(old, true).is_some_and(|seen| *seen > many), "purged");
    assert!(state.seen_of(new, false).is_some_and(|seen| *seen > many), "an event of an earlier version");
    assert!(state.seen_of(new, true).is_none(), "missing");
    for id in [old, new] {
        state.deliveries.insert(id, Sequence::NONE);
        assert_eq!(state.seen_of(id, true).copied(), Some(Sequence::NONE), "known, and not sent");
    }
}

#[test]
fn an_event_of_an_earlier_version_makes_rows_of_orders_alone() {
    for content in contents() {
        let event = published(&content, &Verdict::Sent);
        let NotificationEvent::Sent(mut sent) = event else { panic!("{event:?}") };
        (sent.subscription_id, sent.restocks) = (None, None);
        let is_of_order = content.order_id().is_some();
        assert_eq!(content::of_sent(&sent).is_some(), is_of_order, "{:?}", content.kind());
    }
}

#[test]
fn only_the_channel_that_counts_tells_a_subscriber() {
    let [.., back_in_stock] = contents();
    let id = back_in_stock.subscription_id().unwrap();
    let sent = told(&published(&back_in_stock, &Verdict::Sent));
    let mut state = empty();
    state.tell(sent.clone(), Some(Channel::Log));
    assert!(!state.facts[&id].is_told());
    state.tell(sent, Some(Channel::Smtp));
    assert!(state.facts[&id].is_told());
    assert_eq!(state.told.len(), 1);
}
