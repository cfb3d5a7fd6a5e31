//! Changes of money, stock and notifications.

use checker::{History, Request, tables};

use super::{Tampering, by, confirmed, event, first, place_of, replace};

pub(crate) const TAMPERED: &[Tampering] = &[
    by("ledger-balances", "an order was authorized twice", |history| {
        let mut again = captured(history).clone();
        again.id.push('2');
        history.tables.authorizations.push(again);
    }),
    by("ledger-balances", "a hold is neither captured nor voided", |history| {
        captured(history).captured_at = None;
    }),
    by("ledger-balances", "a refund is larger than the capture", |history| {
        history.tables.refunds[0].amount += 1;
    }),
    by("ledger-balances", "a refund names a charge that does not exist", |history| {
        history.tables.refunds[0].charge_id.push('x');
    }),
    by("money-matches-outcome", "a cancelled order keeps the money", |history| {
        _ = history.tables.refunds.pop();
    }),
    by("money-matches-outcome", "a confirmed order pays a cent less", |history| {
        let id = confirmed(history).id;
        first(&mut history.tables.authorizations, |row| row.reference == id && row.captured_at.is_some())
            .amount -= 1;
    }),
    by("money-matches-outcome", "the gateway knows an order that does not exist", |history| {
        let id = confirmed(history).id;
        history.tables.orders.retain(|row| row.id != id);
    }),
    by("payment-events-match-ledger", "payment.captured names a cent less", |history| {
        let total = amount_of(history, "payment.captured.v1");
        replace(event(history, "payment.captured.v1"), &format!("\"amount\":{total}"), "\"amount\":1");
    }),
    by("payment-events-match-ledger", "money was taken and no event says so", |history| {
        let key = event(history, "payment.captured.v1").key.clone();
        history.records.retain(|record| record.topic != "payments" || record.key != key);
    }),
    by("payments-follow-their-life", "a payment was declined after its capture", |history| {
        let id = confirmed(history).id;
        first(&mut history.tables.payments, |row| row.id == id).status = "declined".to_owned();
    }),
    by("payments-follow-their-life", "a payment was captured without an authorization", |history| {
        let key = event(history, "payment.captured.v1").key.clone();
        let is_it = |ce_type: Option<&str>| ce_type == Some("payment.authorized.v1");
        history.records.retain(|record| record.key != key || !is_it(record.header("ce_type")));
    }),
    by("one-payment-per-order", "an order has two payments", |history| {
        let again = history.tables.payments[0].clone();
        history.tables.payments.push(again);
    }),
    by("one-payment-per-order", "an order has no payment", |history| _ = history.tables.payments.pop()),
    by("stock-is-conserved", "a unit appears from nowhere", |history| history.tables.stock[0].on_hand += 1),
    by("stock-is-conserved", "more is reserved than there is", |history| {
        let row = &mut history.tables.stock[0];
        row.reserved = row.on_hand + 1;
    }),
    by("stock-matches-reservations", "a unit is sold twice", |history| {
        first(&mut history.tables.reservations, |row| row.status == "released").status =
            "committed".to_owned();
    }),
    by("stock-events-are-possible", "an event has fewer units than none", |history| {
        let record = event(history, "stock.changed.v1");
        let value = record.value.clone().unwrap();
        record.value = Some(value.replacen("\"available\":", "\"available\":-1", 1));
    }),
    by("stock-events-are-possible", "more restocks are published than took place", |history| {
        let sku = event(history, "stock.replenished.v1").key.clone();
        first(&mut history.tables.stock, |row| row.sku == sku).restocks = 0;
    }),
    by("restocks-were-requested", "an acknowledged restock is lost", |history| {
        let row = first(&mut history.tables.stock, |row| row.restocks > 1);
        (row.restocks, row.restocked, row.on_hand) = (row.restocks - 1, row.restocked - 1, row.on_hand - 1);
    }),
    by("restocks-were-requested", "a restock counted twice", |history| history.tables.stock[0].restocks += 1),
    by("reservations-match-orders", "a confirmed order has no committed stock", |history| {
        let id = confirmed(history).id;
        history.tables.reservations.retain(|row| row.order_id != id);
    }),
    by("reservations-match-orders", "an order has two reservations", |history| {
        let again = history.tables.reservations[0].clone();
        history.tables.reservations.push(again);
    }),
    by("reservations-match-orders", "other goods were committed than ordered", |history| {
        replace(event(history, "stock.committed.v1"), "\"quantity\":", "\"quantity\":7");
    }),
    by("outcomes-are-announced-once", "a customer gets two messages about the same outcome", |history| {
        let again = delivery(history, "order_confirmed").clone();
        history.tables.deliveries.push(again);
    }),
    by("outcomes-are-announced-once", "a customer is not notified on one channel", |history| {
        let id = delivery(history, "order_cancelled").id;
        history.tables.deliveries.retain(|row| row.id != id);
    }),
    by("outcomes-are-announced-once", "a customer is notified of what did not happen", |history| {
        delivery(history, "order_cancelled").kind = "order_refunded".to_owned();
    }),
    by(
        "subscribers-are-notified-once-per-restock",
        "a subscriber gets two messages about one restock",
        |history| {
            let again = delivery(history, "back_in_stock").clone();
            history.tables.deliveries.push(again);
        },
    ),
    by(
        "subscribers-are-notified-once-per-restock",
        "a subscriber is notified of a restock that did not happen",
        |history| {
            delivery(history, "back_in_stock").restocks = Some(1_000);
        },
    ),
    by("subscribers-are-notified-once-per-restock", "somebody is notified who did not consent", |history| {
        let id = delivery(history, "back_in_stock").subscription_id;
        first(&mut history.tables.subscriptions, |row| Some(row.id) == id).consent = None;
    }),
    by("mails-match-deliveries", "a delivery counts as sent, and no mail was accepted", |history| {
        history.mails.retain(|mail| !mail.accepted);
    }),
    by("mails-match-deliveries", "a mail went to somebody else", |history| {
        let id = delivery(history, "order_confirmed").id;
        first(&mut history.mails, |mail| mail.delivery == id).to = "mallory@example.com".to_owned();
    }),
    by("mails-match-deliveries", "a mail has no delivery", |history| {
        let id = delivery(history, "order_confirmed").id;
        history.tables.deliveries.retain(|row| row.id != id);
    }),
    by("mails-match-deliveries", "a mail was accepted, and its delivery is not sent", |history| {
        history
            .calls
            .retain(|call| !matches!(call.request, Request::Erase { .. } | Request::Unsubscribe { .. }));
        delivery(history, "order_confirmed").status = "failed".to_owned();
    }),
    by("repeated-mails-were-in-flight", "a mail was sent twice, and nothing was interrupted", |history| {
        let again = history.mails[0].clone();
        history.mails.push(again);
        history.interruptions = 0;
    }),
    by("repeated-mails-were-in-flight", "two persons got one mail", |history| {
        let mut again = history.mails[0].clone();
        again.to = "mallory@example.com".to_owned();
        history.mails.push(again);
        history.interruptions = 1;
    }),
    by("deliveries-match-their-events", "a sent mail was not published", |history| {
        let place = place_of(history, "notification.sent.v1");
        history.records.remove(place);
    }),
    by("deliveries-match-their-events", "a message was published that has no row", |history| {
        let key = event(history, "notification.sent.v1").key.clone();
        history.tables.deliveries.retain(|row| row.id.to_string() != key);
    }),
    by("waves-follow-the-line", "somebody behind in line is notified first", |history| {
        let [early, late] = two_in_a_wave(history);
        let (early, late) = (early.unwrap(), late.unwrap());
        let row = first(&mut history.tables.subscriptions, |row| row.id == early);
        row.activated_at = Some("2020-01-02T00:00:00+00:00".to_owned());
        (row.email, row.quantity) = (None, 1);
        let row = first(&mut history.tables.subscriptions, |row| row.id == late);
        row.activated_at = Some("2020-01-01T00:00:00+00:00".to_owned());
        (row.email, row.quantity) = (Some("ahead@example.com".to_owned()), 1);
        row.consent = Some("double_opt_in".to_owned());
    }),
    by("nobody-is-notified-after-leaving", "somebody is mailed after an erasure", |history| {
        let mut mail = history.mails[0].clone();
        (mail.to, mail.at) = (erased(history), u64::MAX);
        history.mails.push(mail);
    }),
    by("nobody-is-notified-after-leaving", "a buyer is notified that the product is back", |history| {
        let delivery = delivery(history, "back_in_stock").clone();
        let (buyer, sku) = ("buyer@example.com", delivery.sku.clone().unwrap());
        let row = confirmed(history);
        let id = row.id.to_string();
        let call = first(&mut history.calls, |call| call.status == 202 && call.answer.contains(&id));
        let Request::Place { body, .. } = &mut call.request else { unreachable!() };
        *body = serde_json::json!({"email": buyer, "items": [{"sku": sku, "quantity": 1}]});
        let mut mail = history.mails[0].clone();
        (mail.to, mail.at, mail.delivery) = (buyer.to_owned(), u64::MAX, delivery.id);
        history.mails.push(mail);
    }),
];

fn captured(history: &mut History) -> &mut tables::Authorization {
    first(&mut history.tables.authorizations, |row| row.captured_at.is_some())
}

/// A mail's delivery of a kind.
fn delivery<'h>(history: &'h mut History, kind: &str) -> &'h mut tables::Delivery {
    first(&mut history.tables.deliveries, |row| {
        row.kind == kind && row.channel == "smtp" && row.status == "sent"
    })
}

fn amount_of(history: &mut History, ce_type: &str) -> i64 {
    let value: serde_json::Value =
        serde_json::from_str(event(history, ce_type).value.as_ref().unwrap()).unwrap();
    value["amount"]["amount"].as_i64().unwrap()
}

/// The subscriptions of the first two deliveries of one restock; one is added when each restock had one.
fn two_in_a_wave(history: &mut History) -> [Option<events::values::SubscriptionId>; 2] {
    let first_one = delivery(history, "back_in_stock").clone();
    let mut second = first_one.clone();
    second.id = "ffffffff-ffff-7fff-8fff-ffffffffffff".parse().unwrap();
    let other = history.tables.subscriptions.iter().find(|row| Some(row.id) != first_one.subscription_id);
    second.subscription_id = other.map(|row| row.id);
    let wave = [first_one.subscription_id, second.subscription_id];
    history.tables.deliveries.push(second);
    wave
}

/// An address that was erased.
fn erased(history: &History) -> String {
    let erased = history.calls.iter().find_map(|call| match &call.request {
        Request::Erase { email } if call.status == 202 => Some(email.clone()),
        _ => None,
    });
    erased.expect("the good history has an erasure")
}
