//! Orders: what clients were promised, and what became of it.

mod path;

use std::collections::{BTreeMap, BTreeSet};

use envelope::Event as _;
use events::OrderEvent;
use events::values::OrderId;
use order::machine::{Payment, Stock};
use serde_json::Value;

use crate::facts::events_of;
use crate::history::{Call, Request};
use crate::tables;
use crate::{Facts, Invariant};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "acknowledged-orders-exist", check: acknowledged_orders_exist },
    Invariant { name: "one-order-per-idempotency-key", check: one_order_per_key },
    Invariant { name: "every-order-was-requested", check: every_order_was_requested },
    END,
    Invariant { name: "histories-follow-the-state-table", check: path::histories_follow_the_state_table },
    Invariant { name: "answers-are-expected", check: answers_are_expected },
    Invariant { name: "reads-are-monotonic", check: reads_are_monotonic },
    Invariant { name: "order-events-match-rows", check: events_match_rows },
];

/// Needs the tables alone.
pub(crate) const END: Invariant = Invariant { name: "orders-end", check: orders_end };

/// The requests for orders, with their keys and bodies.
fn placed<'h>(facts: &Facts<'h>) -> impl Iterator<Item = (&'h str, &'h Value, &'h Call)> {
    facts.history.calls.iter().filter_map(|call| match &call.request {
        Request::Place { key, body } => Some((key.as_str(), body, call)),
        _ => None,
    })
}

fn id_of(answer: &Value) -> Option<OrderId> {
    answer["id"].as_str()?.parse().ok()
}

/// No request fails in a way that is the service's fault, except that a database is away (503). A request without an answer
/// has the status 0.
fn answers_are_expected(facts: &Facts<'_>) -> Vec<String> {
    let expected = |status| matches!(status, 0 | 200 | 202 | 401 | 404 | 409 | 422 | 429 | 503);
    let others = facts.history.calls.iter().filter(|call| !expected(call.status));
    others.map(|call| format!("{:?} was answered {} {}", call.request, call.status, call.answer)).collect()
}

/// Each answer with 202 names an order that exists, with the items and the total of the answer.
fn acknowledged_orders_exist(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, _, call) in placed(facts).filter(|(.., call)| call.status == 202) {
        let answer = call.json();
        let Some(id) = id_of(&answer) else {
            found.push(format!("the answer to {key} names no order: {}", call.answer));
            continue;
        };
        match facts.rows.get(&id) {
            None => found.push(format!("order {id} was acknowledged to {key} and does not exist")),
            Some(row)
                if answer["items"] != serde_json::to_value(&row.items).unwrap_or_default()
                    || answer["total"]["amount"] != row.total =>
            {
                found.push(format!("order {id} differs from its answer: {row:?}, {}", call.answer));
            }
            Some(_) => {}
        }
    }
    found
}

/// All answers with 202 to one idempotency key are the same, byte for byte.
fn one_order_per_key(facts: &Facts<'_>) -> Vec<String> {
    let mut first = BTreeMap::new();
    let acknowledged = placed(facts).filter(|(.., call)| call.status == 202);
    let other = |(key, _, call): (_, _, &Call)| {
        let known: &mut String = first.entry(key).or_insert_with(|| call.answer.clone());
        (*known != call.answer).then(|| format!("{key} was answered {known} and {}", call.answer))
    };
    acknowledged.filter_map(other).collect()
}

/// The properties by which orders of different requests differ: the address, the method, and the quantity per product.
type Wish = (String, String, BTreeMap<String, i64>);

fn wish(body: &Value) -> Wish {
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let mut items = BTreeMap::new();
    for item in body["items"].as_array().into_iter().flatten() {
        let sku = item["sku"].as_str().unwrap_or_default().to_owned();
        *items.entry(sku).or_default() += item["quantity"].as_i64().unwrap_or_default();
    }
    (text("email").to_lowercase(), text("payment_method"), items)
}

/// Of each wish there are at most as many orders as different keys were sent, and at least as many as were acknowledged. So no
/// order exists that nobody sent, and none exists twice.
fn every_order_was_requested(facts: &Facts<'_>) -> Vec<String> {
    let mut wishes = BTreeMap::<Wish, (BTreeSet<&str>, BTreeSet<&str>, Vec<OrderId>)>::new();
    for (key, body, call) in placed(facts) {
        let entry = wishes.entry(wish(body)).or_default();
        entry.0.insert(key);
        if call.status == 202 {
            entry.1.insert(key);
        }
    }
    let (addresses, erased, mut found) = (facts.addresses(), erased(facts), Vec::new());
    let customers = facts.history.tables.customers.iter().filter(|row| row.email.is_none());
    let forgotten: BTreeSet<_> = customers.map(|row| row.id).collect();
    let nobody = BTreeSet::new();
    // The orders of known addresses first: those that remain are of erased ones.
    let mut rows: Vec<_> = facts.rows.values().collect();
    rows.sort_by_key(|row| !addresses.contains_key(&row.customer_id));
    for row in rows {
        let items: BTreeMap<String, i64> =
            row.items.iter().map(|item| (item.sku.to_string(), item.quantity.get())).collect();
        // A customer who was erased before the registration was published has no address on any topic.
        let without = if forgotten.contains(&row.customer_id) { &erased } else { &nobody };
        let emails = addresses.get(&row.customer_id).unwrap_or(without);
        let of = |email: &String| (email.clone(), row.payment_method.clone(), items.clone());
        let open = |wish: &Wish| wishes.get(wish).is_some_and(|(sent, _, orders)| orders.len() < sent.len());
        match emails.iter().map(of).find(open).and_then(|wish| wishes.get_mut(&wish)) {
            Some(entry) => entry.2.push(row.id),
            None => found.push(format!("no client sent order {} of {emails:?}: {:?}", row.id, row.items)),
        }
    }
    for ((email, ..), (sent, acknowledged, orders)) in &wishes {
        if orders.len() < acknowledged.len() {
            found.push(format!(
                "{email} sent {sent:?}, of which {acknowledged:?} were acknowledged, and has {orders:?}"
            ));
        }
    }
    found
}

fn erased(facts: &Facts<'_>) -> BTreeSet<String> {
    let calls = facts.history.calls.iter();
    calls
        .filter_map(|call| match &call.request {
            Request::Erase { email } => Some(email.clone()),
            _ => None,
        })
        .collect()
}

/// Every order is confirmed, captured and committed; or cancelled, with money and goods returned.
fn orders_end(facts: &Facts<'_>) -> Vec<String> {
    let ended = |row: &tables::Order| match row.status.as_str() {
        "confirmed" => row.payment == "captured" && row.stock == "committed",
        "cancelled" => {
            matches!(row.payment.as_str(), "declined" | "voided" | "refunded")
                && matches!(row.stock.as_str(), "rejected" | "released")
        }
        _ => false,
    };
    let unfinished = facts.rows.values().filter(|row| !ended(row));
    unfinished
        .map(|row| format!("order {} is {}, {}, {}", row.id, row.status, row.payment, row.stock))
        .collect()
}

/// The state that an answer shows of an order; later answers only move forward.
struct Seen {
    sent: u64,
    answered: u64,
    rank: (u8, Option<Payment>, Option<Stock>),
    history: Vec<String>,
}

fn seen(sent: u64, answered: u64, order: &Value) -> Option<Seen> {
    let rank = match order["status"].as_str()? {
        "placed" => 0,
        "confirmed" => 1,
        _ => 2,
    };
    let history = order["history"].as_array()?.iter();
    Some(Seen {
        sent,
        answered,
        rank: (rank, order["payment"].as_str()?.parse().ok(), order["stock"].as_str()?.parse().ok()),
        history: history.filter_map(|entry| Some(entry["type"].as_str()?.to_owned())).collect(),
    })
}

/// An answer never contradicts an earlier one of the same order, and none contradicts the final row.
fn reads_are_monotonic(facts: &Facts<'_>) -> Vec<String> {
    let mut reads = BTreeMap::<OrderId, Vec<Seen>>::new();
    for call in &facts.history.calls {
        let (Request::Read(id) | Request::Cancel(id)) = &call.request else { continue };
        let (Some(answered), 200 | 202) = (call.answered, call.status) else { continue };
        reads.entry(*id).or_default().extend(seen(call.sent, answered, &call.json()));
    }
    let mut found = Vec::new();
    for (id, mut reads) in reads {
        let Some(row) = facts.rows.get(&id) else {
            found.push(format!("order {id} was read and does not exist"));
            continue;
        };
        reads.extend(seen(u64::MAX, u64::MAX, &serde_json::to_value(row).unwrap_or_default()));
        let continues = |late: &Seen, early: &Seen| {
            if facts.history.republished {
                // A restored service applies its own events before those of others.
                early.history.iter().all(|entry| late.history.contains(entry))
            } else {
                late.history.starts_with(&early.history)
            }
        };
        let earlier = |late: &Seen, early: &Seen| early.answered <= late.sent && !std::ptr::eq(late, early);
        for late in &reads {
            let behind = |early: &&Seen| {
                early.rank.0 > late.rank.0
                    || early.rank.1 > late.rank.1
                    || early.rank.2 > late.rank.2
                    || !continues(late, early)
            };
            if let Some(early) = reads.iter().filter(|early| earlier(late, early)).find(behind) {
                found.push(format!(
                    "order {id} was {:?} {:?} at {} ms and {:?} {:?} later",
                    early.rank, early.history, early.answered, late.rank, late.history
                ));
            }
        }
    }
    found
}

/// An order's events say what its row says: one `order.placed` with its items, and one event of its outcome.
fn events_match_rows(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for row in facts.rows.values() {
        let events = events_of(&facts.orders, &row.id);
        let types: Vec<&str> = events.iter().map(|published| published.event.ce_type()).collect();
        let matches = match (&events.first().map(|first| &first.event), row.status.as_str()) {
            (Some(OrderEvent::Placed(placed)), status) => {
                placed.items == row.items
                    && placed.total.amount == row.total
                    && placed.customer_id == row.customer_id
                    && match status {
                        "placed" => types.len() == 1,
                        "confirmed" => types[1..] == ["order.confirmed.v1"],
                        _ => matches!(
                            types[1..],
                            ["order.cancelled.v1"] | ["order.confirmed.v1", "order.cancelled.v1"]
                        ),
                    }
            }
            _ => false,
        };
        if !matches {
            found.push(format!("order {} is {}, its events are {types:?}", row.id, row.status));
        }
    }
    let unknown =
        facts.orders.keys().filter(|id| id.parse().map_or(true, |id| !facts.rows.contains_key(&id)));
    found.extend(unknown.map(|id| format!("order {id} has events and no row")));
    found
}
