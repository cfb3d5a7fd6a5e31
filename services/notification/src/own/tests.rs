//! The published events of deliveries are enough to make their rows again, and rows that were deleted on purpose are not missed.

use events::CancelReason;
use events::values::{Money, OrderId, Quantity, Sku};

use super::*;
use crate::domain::content::Content;
use crate::domain::delivery::{self, Verdict};
use crate::domain::subscription::Status;

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

/// The event of a delivery with this content.
fn published(content: &Content, verdict: &Verdict) -> NotificationEvent {
    delivery::event(DeliveryId::new(NOW), content, Channel::Smtp, verdict).unwrap()
}

fn finished(event: &NotificationEvent) -> Finished {
    let version = Sequence::NONE.next();
    match event {
        NotificationEvent::Sent(sent) => Finished::sent(sent, version, NOW),
        NotificationEvent::Failed(failed) => Finished::failed(failed, version, NOW),
        other => panic!("{other:?}"),
    }
}

fn empty() -> State {
    State {
        deliveries: BTreeMap::new(),
        subscriptions: BTreeMap::new(),
        finished: BTreeMap::new(),
        facts: BTreeMap::new(),
        first_kept: DeliveryId::new(NOW + time::Duration::DAY).uuid(),
        ignored: Sequence::NONE,
    }
}

#[test]
fn an_event_holds_what_its_row_needs() {
    for content in contents() {
        for verdict in [Verdict::Sent, Verdict::Failed("refused".to_owned())] {
            let finished = finished(&published(&content, &verdict));
            let made = finished.content.as_ref().unwrap();
            assert_eq!(made.kind(), content.kind());
            assert_eq!(made.order_id(), content.order_id());
            assert_eq!(made.sku(), content.sku());
            assert_eq!(made.subscription_id(), content.subscription_id());
            assert_eq!(made.restocks(), content.restocks());
            assert_eq!((finished.kind, finished.order), (content.kind(), content.order_id()));
            assert_eq!(
                (finished.subscription, finished.restocks),
                (content.subscription_id(), content.restocks())
            );
            assert_eq!(finished.cause.is_some(), verdict != Verdict::Sent);
        }
    }
}

#[test]
fn a_deleted_row_and_one_that_cannot_be_made_are_not_missed() {
    let mut state = empty();
    let (old, new) = (DeliveryId::new(NOW), DeliveryId::new(NOW + 2 * time::Duration::DAY));
    let many = Sequence::from_i64(1_000_000).unwrap();
    assert!(state.last_sequence_of(old, true).is_some_and(|last| *last > many), "deleted after its time");
    assert!(
        state.last_sequence_of(new, false).is_some_and(|last| *last > many),
        "an event of an earlier version"
    );
    assert!(state.last_sequence_of(new, true).is_none(), "missing");
    for id in [old, new] {
        state.deliveries.insert(id, Sequence::NONE);
        assert_eq!(state.last_sequence_of(id, true).copied(), Some(Sequence::NONE), "stored, and not sent");
    }
}

#[test]
fn an_event_of_an_earlier_version_makes_rows_only_of_messages_about_orders() {
    for content in contents() {
        let event = published(&content, &Verdict::Sent);
        let NotificationEvent::Sent(mut sent) = event else { panic!("{event:?}") };
        (sent.subscription_id, sent.restocks) = (None, None);
        let is_of_order = content.order_id().is_some();
        assert_eq!(content::of(&sent).is_some(), is_of_order, "{:?}", content.kind());
    }
}

#[test]
fn only_the_primary_channel_notifies_a_subscriber() {
    let [.., back_in_stock] = contents();
    let id = back_in_stock.subscription_id().unwrap();
    let sent = finished(&published(&back_in_stock, &Verdict::Sent));
    let mut state = empty();
    state.finish(sent.clone(), Channel::Log);
    assert_eq!(state.facts[&id].status_after(Status::Waiting), Status::Waiting);
    state.finish(sent, Channel::Smtp);
    assert_eq!(state.facts[&id].status_after(Status::Waiting), Status::Notified);
    assert_eq!(state.finished.len(), 1);
}
