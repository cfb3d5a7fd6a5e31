//! Stock: no unit appears, disappears or is sold twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{events_of, verbs};
use crate::history::Request;
use crate::{Facts, Invariant, tables};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "stock-is-conserved", check: stock_is_conserved },
    Invariant { name: "stock-matches-reservations", check: stock_matches_reservations },
    Invariant { name: "stock-events-are-possible", check: events_are_possible },
    Invariant { name: "restocks-were-requested", check: restocks_were_requested },
    Invariant { name: "reservations-match-orders", check: reservations_match_orders },
];

/// Per product: restocked + corrected = available + reserved + committed, and nothing is below zero.
fn stock_is_conserved(facts: &Facts<'_>) -> Vec<String> {
    let conserved = |row: &&tables::Stock| {
        let available = row.on_hand - row.reserved;
        row.restocked + row.corrected == available + row.reserved + row.committed
            && [available, row.reserved, row.committed, row.restocks].into_iter().all(|number| number >= 0)
    };
    let wrong = facts.history.tables.stock.iter().filter(|row| !conserved(row));
    wrong.map(|row| format!("{row:?}")).collect()
}

/// The reserved and the committed units of a product are those of its reservations.
fn stock_matches_reservations(facts: &Facts<'_>) -> Vec<String> {
    let mut sums = BTreeMap::<(&str, &str), i64>::new();
    for row in &facts.history.tables.reservations {
        for line in &row.lines {
            *sums.entry((line.sku.as_str(), row.status.as_str())).or_default() += line.quantity.get();
        }
    }
    let sum = |sku, status| sums.get(&(sku, status)).copied().unwrap_or_default();
    let mut found = Vec::new();
    for row in &facts.history.tables.stock {
        let (reserved, committed) = (sum(row.sku.as_str(), "reserved"), sum(row.sku.as_str(), "committed"));
        if (row.reserved, row.committed) != (reserved, committed) {
            found.push(format!(
                "{row:?}, and its reservations have {reserved} reserved, {committed} committed"
            ));
        }
    }
    found
}

/// No event of `stock` has fewer units than none or more than ever came in, and restocks are counted upwards.
fn events_are_possible(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for row in &facts.history.tables.stock {
        let mut restocks = 0;
        for published in events_of(&facts.stock, &row.sku) {
            let level = published.event.level();
            let came_in = row.restocked + row.corrected.max(0);
            let possible = 0 <= level.available
                && level.available <= level.on_hand
                && level.on_hand <= came_in
                && restocks <= level.restocks
                && level.restocks <= row.restocks;
            if !possible {
                found.push(format!("{} [{}]: {level:?} of {row:?}", row.sku, published.record.offset));
            }
            restocks = level.restocks;
        }
    }
    found
}

/// A product's restocks are those that were acknowledged, and perhaps some whose answer was lost.
fn restocks_were_requested(facts: &Facts<'_>) -> Vec<String> {
    let mut requests = BTreeMap::<&str, BTreeMap<&str, (i64, bool)>>::new();
    for call in &facts.history.calls {
        if let Request::Restock { sku, quantity, key } = &call.request {
            let request = requests.entry(sku).or_default().entry(key).or_insert((*quantity, false));
            request.1 |= call.status == 200;
        }
    }
    let mut found = Vec::new();
    for row in &facts.history.tables.stock {
        let requested = requests.remove(row.sku.as_str()).unwrap_or_default();
        let sum = |all: bool| -> (i64, i64) {
            let counted = requested.values().filter(|(_, acknowledged)| all || *acknowledged);
            counted.fold((0, 0), |(count, units), (quantity, _)| (count + 1, units + quantity))
        };
        let (least, most) = (sum(false), sum(true));
        let within = least.0 <= row.restocks
            && row.restocks <= most.0
            && least.1 <= row.restocked
            && row.restocked <= most.1;
        if !within {
            found.push(format!("{row:?}, and {least:?} to {most:?} restocks and units were requested"));
        }
    }
    found.extend(requests.keys().map(|sku| format!("{sku} was restocked and has no row")));
    found
}

/// Each order has one reservation that ends as the order did, with the order's lines.
fn reservations_match_orders(facts: &Facts<'_>) -> Vec<String> {
    let mut rows = BTreeMap::new();
    let mut found = Vec::new();
    for row in &facts.history.tables.reservations {
        if rows.insert(row.order_id, row).is_some() {
            found.push(format!("order {} has two reservations", row.order_id));
        }
        if !facts.rows.contains_key(&row.order_id) {
            found.push(format!("{row:?} has no order"));
        }
    }
    for (id, order) in &facts.rows {
        let events = events_of(&facts.reservations, id);
        let types = verbs(events);
        let status = rows.get(id).map(|row| row.status.as_str());
        let ends = match (order.status.as_str(), &types[..]) {
            ("confirmed", ["reserved", "committed"]) => status == Some("committed"),
            ("cancelled", ["reserved", "released"] | ["reserved", "committed", "released"]) => {
                status == Some("released")
            }
            ("cancelled", ["rejected"]) => status == Some("rejected"),
            // Inventory learnt of the cancellation first.
            ("cancelled", ["released"]) => matches!(status, Some("closed" | "released")),
            _ => false,
        };
        let ordered: BTreeSet<_> =
            order.items.iter().map(|item| (item.sku.as_str(), item.quantity.get())).collect();
        let moves_the_lines = events.iter().all(|published| {
            let goods: BTreeSet<_> =
                published.event.goods().iter().map(|line| (line.sku.as_str(), line.quantity.get())).collect();
            goods.is_empty() || goods == ordered
        });
        if !(ends && moves_the_lines) {
            found.push(format!(
                "order {id} is {} with {ordered:?}, its reservation is {status:?}: {types:?}",
                order.status
            ));
        }
    }
    found
}
