//! Changes of topics, and of what is left at the end.

use checker::{History, Record, tables};

use super::{Tampering, acknowledged, by, event, first, place_of, replace, set_header};

pub(crate) const TAMPERED: &[Tampering] = &[
    by("records-are-events-of-their-owner", "an event does not parse", |history| {
        event(history, "payment.captured.v1").value = Some("{}".to_owned());
    }),
    by("records-are-events-of-their-owner", "an event is about another key", |history| {
        event(history, "order.placed.v1").key = "0198c0de-0000-7000-8000-000000000001".to_owned();
    }),
    by("records-are-events-of-their-owner", "an event comes from another service", |history| {
        set_header(event(history, "stock.reserved.v1"), "ce_source", "/order");
    }),
    by("records-are-events-of-their-owner", "an event has no sequence", |history| {
        event(history, "order.confirmed.v1").headers.retain(|header| header.0 != "ce_sequence");
    }),
    by("sequences-have-no-gap", "an event is lost", |history| {
        let place = place_of(history, "order.placed.v1");
        history.records.remove(place);
    }),
    by("sequences-have-no-gap", "two events of a key are published in the wrong order", |history| {
        let place = place_of(history, "payment.captured.v1");
        let key = history.records[place].key.clone();
        let earlier = history
            .records
            .iter()
            .position(|record| record.topic == "payments" && record.key == key)
            .unwrap();
        history.records.swap(place, earlier);
    }),
    by("repetitions-are-identical", "an event is published again with another value", |history| {
        let mut again = event(history, "payment.captured.v1").clone();
        again.value = again.value.map(|value| value.replace("EUR", "USD"));
        append(history, again);
    }),
    by("repetitions-are-identical", "an event is published again with another id", |history| {
        let mut again = event(history, "order.confirmed.v1").clone();
        set_header(&mut again, "ce_id", "0198c0de-0000-7000-8000-000000000001");
        append(history, again);
    }),
    by("one-id-per-event", "two events have one id", |history| {
        let id = event(history, "order.placed.v1").header("ce_id").unwrap().to_owned();
        set_header(event(history, "order.confirmed.v1"), "ce_id", &id);
    }),
    by("keys-stay-on-their-partition", "a key moves to another partition", |history| {
        event(history, "order.confirmed.v1").partition += 100;
    }),
    by("causes-exist", "the cause of an event was never published", |history| {
        set_header(
            event(history, "order.confirmed.v1"),
            "ce_causationid",
            "0198c0de-0000-7000-8000-000000000001",
        );
    }),
    by("last-records-match-rows", "the last state of a product's stock is not published", |history| {
        let row = &mut history.tables.stock[0];
        (row.on_hand, row.restocked) = (row.on_hand + 1, row.restocked + 1);
    }),
    by("last-records-match-rows", "a change of an order is not published", |history| {
        history.tables.orders[0].version += 1;
    }),
    by("last-records-match-rows", "a rolled-back product is published", |history| {
        _ = history.tables.products.pop();
    }),
    by("last-records-match-rows", "an erasure is not published", |history| {
        first(&mut history.tables.customers, |row| row.email.is_some()).email = None;
    }),
    by("addresses-are-on-customers-alone", "an address is in an order's event", |history| {
        let email = email(history);
        let record = event(history, "order.placed.v1");
        replace(record, "{", &format!("{{\"email\":\"{}\",", email.to_uppercase()));
    }),
    by("addresses-are-on-customers-alone", "an address is in a dead letter's header", |history| {
        let email = email(history);
        let mut letter = event(history, "order.placed.v1").clone();
        letter.topic = "dlq.notification".to_owned();
        letter.headers.push(("dead_cause".to_owned(), format!("no contact {email}")));
        history.records.push(letter);
    }),
    by("outboxes-are-empty", "an event is not published", |history| {
        broker(history).outbox.push(tables::Outbox { id: 1, topic: "orders".to_owned() });
    }),
    by("everything-is-read", "a record is not read", |history| {
        let position = first(&mut broker(history).positions, |position| position.next_offset > 0);
        position.next_offset -= 1;
    }),
    by("everything-is-read", "a partition is gone", |history| broker(history).positions[0].end = None),
    by("leases-are-held-by-the-living", "a lease has expired", |history| {
        broker(history).leases[0].live = false;
    }),
    by("dead-letters-were-injected", "an event of a service became a dead letter", |history| {
        let letter = broker(history).dead_letters[0].clone();
        let letter = tables::DeadLetter { log_offset: letter.log_offset + 1, ..letter };
        broker(history).dead_letters.push(letter);
    }),
    by("dead-letters-were-injected", "a service swallowed an injected record", |history| {
        broker(history).dead_letters.clear();
    }),
    by("no-work-is-left", "a payment has an open operation", |history| {
        history.tables.payments[0].operation = Some("capture".to_owned());
    }),
    by("no-work-is-left", "a delivery is claimed by nobody who lives", |history| {
        history.tables.deliveries[0].token = Some("0198c0de-0000-7000-8000-000000000001".to_owned());
    }),
];

fn append(history: &mut History, record: Record) {
    history.records.push(record);
}

fn email(history: &mut History) -> String {
    let checker::Request::Place { body, .. } = &acknowledged(history).request else { unreachable!() };
    body["email"].as_str().unwrap().to_owned()
}

fn broker(history: &mut History) -> &mut tables::Broker {
    history.tables.brokers.get_mut("notification").unwrap()
}
