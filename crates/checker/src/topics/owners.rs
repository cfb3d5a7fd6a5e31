//! The last record of each key beside the row of its owner.

use std::collections::BTreeMap;

use envelope::{Event, Sequence};
use events::{CustomerEvent, ProductEvent};

use crate::Facts;
use crate::facts::{Log, events_of};

/// A row's version is the number of its last event; on compacted topics that event has the row's state.
pub(crate) fn last_records_match_rows(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let mut found = Vec::new();
    let mut compare = |what: &str, last: BTreeMap<&str, Sequence>, rows: Vec<(String, i64)>| {
        let versions: BTreeMap<String, i64> = rows.into_iter().filter(|(_, version)| *version > 0).collect();
        for (key, version) in &versions {
            let number = last.get(key.as_str()).map(|sequence| sequence.number().cast_signed());
            if number != Some(*version) {
                found.push(format!("{what} {key} has version {version}, its last event {number:?}"));
            }
        }
        let unknown = last.keys().filter(|key| !versions.contains_key(**key));
        found.extend(unknown.map(|key| format!("{what} {key} has events and no row")));
    };
    macro_rules! versions {
        ($rows:expr, $key:ident) => {
            $rows.iter().map(|row| (row.$key.to_string(), row.version)).collect()
        };
    }
    compare("order", last(&facts.orders), versions!(tables.orders, id));
    compare("payment", last(&facts.payments), versions!(tables.payments, id));
    compare("reservation", last(&facts.reservations), versions!(tables.reservations, order_id));
    compare("product", last(&facts.products), versions!(tables.products, sku));
    compare("stock", last(&facts.stock), versions!(tables.stock, sku));
    compare("customer", last(&facts.customers), versions!(tables.customers, id));
    let mut notified: Vec<(String, i64)> = versions!(tables.deliveries, id);
    notified.extend::<Vec<_>>(versions!(tables.subscriptions, id));
    compare("notification", last(&facts.notifications), notified);
    found.extend(states(facts));
    found
}

/// The last records of compacted topics that differ from their rows.
fn states(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let mut found = Vec::new();
    for row in &tables.stock {
        let level = events_of(&facts.stock, &row.sku).last().map(|last| last.event.level());
        // A change of `on_hand` alone, as when reserved stock is committed, is published with the next change.
        let said = level.map(|level| (level.available, level.restocks));
        if said != Some((row.on_hand - row.reserved, row.restocks)) {
            found.push(format!("{row:?}, its last event is {level:?}"));
        }
    }
    for row in &tables.products {
        let last = events_of(&facts.products, &row.sku).last().map(|last| &last.event);
        let listed = matches!(last, Some(ProductEvent::Listed(_)));
        let said = last.map(|event| (event.product().name.to_string(), event.product().price.amount, listed));
        if said != Some((row.name.clone(), row.amount, row.listed)) {
            found.push(format!("{row:?}, its last event is {last:?}"));
        }
    }
    for row in tables.customers.iter().filter(|row| row.merged_into.is_none()) {
        let said = events_of(&facts.customers, &row.id).last().map(|last| match &last.event {
            CustomerEvent::Registered(registered) => Some(registered.email.expose().to_owned()),
            CustomerEvent::Erased(_) => None,
        });
        if said.as_ref() != Some(&row.email) {
            found.push(format!("customer {}: the address of the row is not that of the last event", row.id));
        }
    }
    found
}

fn last<'h, E: Event>(log: &Log<'h, E>) -> BTreeMap<&'h str, Sequence> {
    log.iter().filter_map(|(key, events)| Some((*key, events.last()?.sequence))).collect()
}
