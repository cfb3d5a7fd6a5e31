//! The good history, and the changes that make it contradict itself.

mod clients;
mod outcomes;
mod records;

use std::sync::LazyLock;

use checker::{Call, History, Record, Request, tables};

/// A change of a good history.
pub(crate) struct Tampering {
    /// The change.
    pub(crate) what: &'static str,
    /// The invariant that must reject it.
    pub(crate) caught_by: &'static str,
    /// Makes the change.
    pub(crate) change: fn(&mut History),
}

/// Makes a tampering, in one line of a table.
const fn by(caught_by: &'static str, what: &'static str, change: fn(&mut History)) -> Tampering {
    Tampering { what, caught_by, change }
}

pub(crate) const TAMPERED: [&[Tampering]; 3] = [clients::TAMPERED, outcomes::TAMPERED, records::TAMPERED];

/// Returns a history that `./scripts/faults poison --customers 2 --rounds 2 --save FILE --save-good` recorded.
pub(crate) fn good() -> History {
    static GOOD: LazyLock<History> =
        LazyLock::new(|| serde_json::from_str(include_str!("../good.json")).unwrap());
    GOOD.clone()
}

/// The first row that is so.
pub(crate) fn first<T>(rows: &mut [T], is: impl Fn(&T) -> bool) -> &mut T {
    rows.iter_mut().find(|row| is(row)).expect("the good history has one")
}

/// A confirmed order.
pub(crate) fn confirmed(history: &mut History) -> &mut tables::Order {
    first(&mut history.tables.orders, |row| row.status == "confirmed")
}

/// The place of the first event of a type.
pub(crate) fn place_of(history: &History, ce_type: &str) -> usize {
    let is = |record: &Record| {
        record.header("ce_type") == Some(ce_type) && !history.injected.contains(&record.place())
    };
    history.records.iter().position(is).expect("the good history has one")
}

/// The first event of a type.
pub(crate) fn event<'h>(history: &'h mut History, ce_type: &str) -> &'h mut Record {
    let place = place_of(history, ce_type);
    &mut history.records[place]
}

/// Replaces a part of a value.
pub(crate) fn replace(record: &mut Record, from: &str, to: &str) {
    let value = record.value.take().expect("a value");
    assert!(value.contains(from), "{from} in {value}");
    record.value = Some(value.replacen(from, to, 1));
}

/// Sets a header.
pub(crate) fn set_header(record: &mut Record, name: &str, value: &str) {
    first(&mut record.headers, |header| header.0 == name).1 = value.to_owned();
}

/// The first request for an order that was acknowledged.
pub(crate) fn acknowledged(history: &mut History) -> &mut Call {
    first(&mut history.calls, |call| matches!(call.request, Request::Place { .. }) && call.status == 202)
}
