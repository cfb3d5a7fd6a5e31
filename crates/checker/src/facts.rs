//! A history, parsed and indexed for the invariants.

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Event, Headers, ParseError, Sequence, Topic};
use events::values::{CustomerId, OrderId};
use events::{
    CUSTOMERS, CustomerEvent, NOTIFICATIONS, NotificationEvent, ORDERS, OrderEvent, PAYMENTS, PRODUCTS,
    PaymentEvent, ProductEvent, RESERVATIONS, ReservationEvent, STOCK, StockEvent,
};

use crate::history::{History, Record};
use crate::tables;

/// The topics of the shop.
pub(crate) const TOPICS: [Topic; 7] =
    [ORDERS, PAYMENTS, RESERVATIONS, STOCK, PRODUCTS, CUSTOMERS, NOTIFICATIONS];

/// A record that is an event.
#[derive(Debug, Clone)]
pub(crate) struct Published<'h, E> {
    pub record: &'h Record,
    pub sequence: Sequence,
    pub event: E,
}

/// The events of a topic: per key the first appearance of each sequence, in the order of the sequences.
pub(crate) type Log<'h, E> = BTreeMap<&'h str, Vec<Published<'h, E>>>;

/// A history with its events parsed.
pub struct Facts<'h> {
    pub(crate) history: &'h History,
    pub(crate) orders: Log<'h, OrderEvent>,
    pub(crate) payments: Log<'h, PaymentEvent>,
    pub(crate) reservations: Log<'h, ReservationEvent>,
    pub(crate) stock: Log<'h, StockEvent>,
    pub(crate) products: Log<'h, ProductEvent>,
    pub(crate) customers: Log<'h, CustomerEvent>,
    pub(crate) notifications: Log<'h, NotificationEvent>,
    pub(crate) rows: BTreeMap<OrderId, &'h tables::Order>,
    pub(crate) malformed: Vec<String>,
}

impl<'h> Facts<'h> {
    /// Parses the records of a history.
    pub fn of(history: &'h History) -> Self {
        let mut malformed = Vec::new();
        let bad = &mut malformed;
        Self {
            orders: log(history, bad),
            payments: log(history, bad),
            reservations: log(history, bad),
            stock: log(history, bad),
            products: log(history, bad),
            customers: log(history, bad),
            notifications: log(history, bad),
            rows: history.tables.orders.iter().map(|row| (row.id, row)).collect(),
            history,
            malformed,
        }
    }

    /// The records of a topic that the run did not inject, in log order.
    pub(crate) fn records(&self, topic: Topic) -> impl Iterator<Item = &'h Record> {
        genuine(self.history, topic)
    }

    /// The addresses under which each customer was ever registered.
    pub(crate) fn addresses(&self) -> BTreeMap<CustomerId, BTreeSet<String>> {
        let mut addresses = BTreeMap::<_, BTreeSet<_>>::new();
        for published in self.customers.values().flatten() {
            if let CustomerEvent::Registered(registered) = &published.event {
                let email = registered.email.expose().to_owned();
                addresses.entry(registered.customer_id).or_default().insert(email);
            }
        }
        addresses
    }
}

/// The events of a key, in the order of their sequences.
pub(crate) fn events_of<'l, 'h, E>(log: &'l Log<'h, E>, key: &impl ToString) -> &'l [Published<'h, E>] {
    log.get(key.to_string().as_str()).map(Vec::as_slice).unwrap_or_default()
}

/// The verbs of the events' types: `captured` of `payment.captured.v1`.
pub(crate) fn verbs<E: Event>(events: &[Published<'_, E>]) -> Vec<&'static str> {
    events.iter().filter_map(|published| published.event.ce_type().split('.').nth(1)).collect()
}

fn genuine(history: &History, topic: Topic) -> impl Iterator<Item = &Record> {
    let of_topic = history.records.iter().filter(move |record| record.topic == topic.name);
    of_topic.filter(|record| history.injected.is_empty() || !history.injected.contains(&record.place()))
}

/// Reads the headers of a record.
pub(crate) fn headers(record: &Record) -> Result<Headers, String> {
    let read = Headers::read(|name| record.header(name).map(str::as_bytes));
    read.map_err(|error| format!("{}: {error}", at(record)))
}

/// The place of a record, for people.
pub(crate) fn at(record: &Record) -> String {
    format!("{} [{}] {} key {}", record.topic, record.partition, record.offset, record.key)
}

fn log<'h, E: Event>(history: &'h History, malformed: &mut Vec<String>) -> Log<'h, E> {
    let mut log = Log::<E>::new();
    for record in genuine(history, E::TOPIC) {
        match parse(record) {
            Ok(published) => {
                let events = log.entry(&record.key).or_default();
                if events.iter().all(|known| known.sequence != published.sequence) {
                    events.push(published);
                }
            }
            Err(error) => malformed.push(error),
        }
    }
    for events in log.values_mut() {
        events.sort_by_key(|published| published.sequence);
    }
    log
}

fn parse<E: Event>(record: &Record) -> Result<Published<'_, E>, String> {
    let headers = headers(record)?;
    let value = record.value.as_deref().map(str::as_bytes);
    let event = E::parse(&headers.event_type, &record.key, value)
        .map_err(|error: ParseError| format!("{}: {error}", at(record)))?;
    if event.key() != record.key {
        return Err(format!("{}: its event is about {}", at(record), event.key()));
    }
    if !E::TOPIC.is_published_by(&headers.source) {
        return Err(format!("{}: {} is not the topic's owner", at(record), headers.source));
    }
    Ok(Published { record, sequence: headers.sequence, event })
}
