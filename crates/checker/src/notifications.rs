//! Notifications: each person gets one message about each thing that happened, and none about anything else.

mod leaving;
mod line;

use std::collections::{BTreeMap, BTreeSet};

use events::values::{DeliveryId, OrderId};
use events::{NotificationEvent, NotificationKind, OrderEvent, PaymentEvent};

use crate::facts::{events_of, verbs};
use crate::history::{Mail, Request};
use crate::tables::Delivery;
use crate::{Facts, Invariant};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "outcomes-are-announced-once", check: outcomes_are_announced_once },
    Invariant { name: "subscribers-are-notified-once-per-restock", check: notified_once_per_restock },
    Invariant { name: "mails-match-deliveries", check: mails_match_deliveries },
    Invariant { name: "repeated-mails-were-in-flight", check: repeated_mails_were_in_flight },
    Invariant { name: "deliveries-match-their-events", check: deliveries_match_their_events },
    Invariant { name: "waves-follow-the-line", check: line::waves_follow_the_line },
    Invariant { name: "nobody-is-notified-after-leaving", check: leaving::nobody_is_notified_after_leaving },
];

/// The most mails that one instance has in flight (`SMTP_CONNECTIONS`).
const IN_FLIGHT: usize = 8;

/// Each outcome of an order has one delivery per channel, and each delivery about an order has its outcome.
fn outcomes_are_announced_once(facts: &Facts<'_>) -> Vec<String> {
    let mut expected = BTreeSet::<(OrderId, &str)>::new();
    for published in facts.orders.values().flatten() {
        let kind = match &published.event {
            OrderEvent::Placed(_) => continue,
            OrderEvent::Confirmed(_) => NotificationKind::OrderConfirmed,
            OrderEvent::Cancelled(_) => NotificationKind::OrderCancelled,
        };
        expected.insert((published.event.order_id(), kind.into()));
    }
    for published in facts.payments.values().flatten() {
        if let PaymentEvent::Refunded(refunded) = &published.event {
            expected.insert((refunded.order_id, NotificationKind::OrderRefunded.into()));
        }
    }
    let rows = || facts.history.tables.deliveries.iter();
    let channels: BTreeSet<&str> = rows().map(|row| row.channel.as_str()).collect();
    let mut counts = BTreeMap::<_, usize>::new();
    for row in rows() {
        if let Some(order) = row.order_id.filter(|_| row.kind.starts_with("order_")) {
            *counts.entry((order, row.kind.as_str(), row.channel.as_str())).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for (order, kind) in expected {
        for channel in &channels {
            let count = counts.remove(&(order, kind, *channel)).unwrap_or_default();
            if count != 1 {
                found.push(format!("{kind} of order {order} has {count} deliveries by {channel}"));
            }
        }
    }
    found.extend(
        counts
            .keys()
            .map(|(order, kind, channel)| format!("{kind} of order {order} by {channel} did not happen")),
    );
    found
}

/// A subscriber who consented gets one message per restock and channel, about restocks that took place.
fn notified_once_per_restock(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let consented: BTreeMap<_, _> =
        tables.subscriptions.iter().map(|row| (row.id, row.consent.is_some())).collect();
    let restocks: BTreeMap<&str, i64> =
        tables.stock.iter().map(|row| (row.sku.as_str(), row.restocks)).collect();
    let (mut notified, mut found) = (BTreeSet::new(), Vec::new());
    for row in tables.deliveries.iter().filter(|row| row.kind == "back_in_stock") {
        if !notified.insert((row.subscription_id, row.restocks, row.channel.as_str())) {
            found.push(format!("{row:?}: the same subscriber gets a second message"));
        }
        if row.subscription_id.and_then(|id| consented.get(&id)) != Some(&true) {
            found.push(format!("{row:?}: nobody consented"));
        }
        let happened = row.sku.as_deref().and_then(|sku| restocks.get(sku)).copied().unwrap_or_default();
        if row.restocks.is_none_or(|number| number < 1 || number > happened) {
            found.push(format!("{row:?}: there were {happened} restocks"));
        }
    }
    found
}

/// A mail delivery counts as sent when, and only when, the mail server accepted its mail, which went to its recipient.
fn mails_match_deliveries(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let rows: BTreeMap<DeliveryId, &Delivery> = tables.deliveries.iter().map(|row| (row.id, row)).collect();
    let (addresses, left) = (facts.addresses(), left(facts));
    let (mut accepted, mut in_flight) = (BTreeSet::new(), IN_FLIGHT * facts.history.interruptions);
    let mut found = Vec::new();
    for mail in facts.history.mails.iter().filter(|mail| mail.accepted) {
        accepted.insert(mail.delivery);
        let Some(row) = rows.get(&mail.delivery) else {
            // The end of a subscription deletes its unsent deliveries, also those whose mail is in flight.
            if mail.about_order || !left.contains(&mail.to) {
                found.push(format!("{mail:?} has no delivery"));
            }
            continue;
        };
        let of_customer = row.customer_id.filter(|_| row.subscription_id.is_none());
        let right =
            of_customer.is_none_or(|id| addresses.get(&id).is_some_and(|known| known.contains(&mail.to)));
        if row.channel != "smtp" || !right {
            found.push(format!("{mail:?} went to somebody else than {row:?}"));
        }
        if row.status != "sent" && !left.contains(&mail.to) {
            // The answer was lost, and meanwhile the product sold out again: the subscriber returned to the waitlist.
            let returned = row.status == "pending" && row.kind == "back_in_stock" && in_flight > 0;
            in_flight -= usize::from(returned);
            if !returned {
                found.push(format!("{mail:?} was accepted, and {row:?} is not sent"));
            }
        }
    }
    let sent = tables.deliveries.iter().filter(|row| row.channel == "smtp" && row.status == "sent");
    found.extend(
        sent.filter(|row| !accepted.contains(&row.id)).map(|row| format!("{row:?}: no mail was accepted")),
    );
    found
}

/// The addresses that were erased, or of which a subscription has ended.
fn left<'h>(facts: &Facts<'h>) -> BTreeSet<&'h String> {
    let calls = facts.history.calls.iter().filter_map(|call| match &call.request {
        Request::EraseContact { email } | Request::Erase { email } | Request::Unsubscribe { email, .. } => {
            Some(email)
        }
        _ => None,
    });
    let open = |state: &str| matches!(state, "pending" | "waiting" | "notified");
    let ended = facts.history.tables.subscriptions.iter().filter(|row| !open(&row.state));
    calls.chain(ended.filter_map(|row| row.email.as_ref())).collect()
}

/// A mail is accepted twice only if it may have been in flight when something was interrupted.
fn repeated_mails_were_in_flight(facts: &Facts<'_>) -> Vec<String> {
    let mut mails = BTreeMap::<DeliveryId, Vec<&Mail>>::new();
    for mail in facts.history.mails.iter().filter(|mail| mail.accepted) {
        mails.entry(mail.delivery).or_default().push(mail);
    }
    let repeated: Vec<_> = mails.values().filter(|mails| mails.len() > 1).collect();
    let extra: usize = repeated.iter().map(|mails| mails.len() - 1).sum();
    let allowed = IN_FLIGHT * facts.history.interruptions;
    let mut found = Vec::new();
    if extra > allowed {
        found.push(format!("{extra} mails were repeated, at most {allowed} were in flight: {repeated:?}"));
    }
    let moved = repeated.iter().filter(|mails| mails.iter().any(|mail| mail.to != mails[0].to));
    found.extend(moved.map(|mails| format!("{mails:?} have one Message-ID and different recipients")));
    found
}

/// A delivery's last event says what its row says, and every event has its row.
fn deliveries_match_their_events(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rows = BTreeMap::new();
    for row in &facts.history.tables.deliveries {
        rows.insert(row.id.to_string(), row);
        let published = verbs(events_of(&facts.notifications, &row.id)).pop();
        let ended = matches!(row.status.as_str(), "sent" | "failed");
        if published.is_some_and(|published| published != row.status) || (ended && published.is_none()) {
            found.push(format!("{row:?}, its last event is {published:?}"));
        }
    }
    for (id, events) in &facts.notifications {
        let of_delivery = events.iter().any(|published| {
            matches!(published.event, NotificationEvent::Sent(_) | NotificationEvent::Failed(_))
        });
        if of_delivery && !rows.contains_key(*id) {
            found.push(format!("delivery {id} has an event and no row"));
        }
    }
    found
}
