//! Reads the whole history of a run and finds contradictions; no I/O.
//!
//! A [`History`] has what clients saw, all records of all topics, the tables of all databases, the ledger of the simulated
//! payment gateway and all mails. Each entry of [`INVARIANTS`] is a pure function over it, which returns one text of evidence
//! per contradiction. Of the services, the crate knows only the order's state machine: the histories of orders must be paths
//! of its table. `tests/tampered.rs` shows for each invariant a history that it rejects.

#![expect(missing_docs, reason = "a field is named as the column or the value that it holds")]

mod facts;
mod history;
mod money;
mod notifications;
mod orders;
mod quiet;
mod stock;
pub mod tables;
mod topics;

use std::fmt;

pub use facts::Facts;
pub use history::{Call, History, Location, Mail, Record, Request};
pub use tables::Tables;

/// A rule that every history of the system obeys.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    pub name: &'static str,
    /// Returns the evidence of each contradiction: ids, offsets, values.
    pub check: fn(&Facts<'_>) -> Vec<String>,
}

/// A contradiction in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    pub invariant: &'static str,
    /// The ids, offsets and values that contradict each other.
    pub evidence: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.evidence)
    }
}

/// The invariants of all groups.
pub const INVARIANTS: [&[Invariant]; 6] = [
    orders::INVARIANTS,
    money::INVARIANTS,
    stock::INVARIANTS,
    notifications::INVARIANTS,
    topics::INVARIANTS,
    quiet::INVARIANTS,
];

/// Returns what the system has still to do according to the tables of a history, whose other parts may be empty.
pub fn unfinished(history: &History) -> Vec<Contradiction> {
    let facts = Facts::of(history);
    quiet::INVARIANTS
        .iter()
        .chain([&orders::END])
        .flat_map(|invariant| contradictions(invariant, &facts))
        .collect()
}

/// Checks a history against every invariant; an empty result means that nothing in it contradicts anything else.
pub fn check(history: &History) -> Vec<Contradiction> {
    let facts = Facts::of(history);
    INVARIANTS.into_iter().flatten().flat_map(|invariant| contradictions(invariant, &facts)).collect()
}

fn contradictions(invariant: &Invariant, facts: &Facts<'_>) -> Vec<Contradiction> {
    let name = invariant.name;
    (invariant.check)(facts).into_iter().map(|evidence| Contradiction { invariant: name, evidence }).collect()
}
