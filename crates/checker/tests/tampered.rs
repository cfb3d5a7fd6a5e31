//! Each invariant rejects histories that contradict it: a good history, recorded from a run, is changed in one place at a
//! time.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test panics")]
#![expect(clippy::assigning_clones, reason = "a tampering reads as an assignment")]

mod support;

use checker::check;
use support::{TAMPERED, good};

#[test]
fn a_history_of_a_real_run_is_accepted() {
    let found = check(&good());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_tampered_history_is_rejected_by_the_intended_invariant() {
    let mut missed = Vec::new();
    for tampering in TAMPERED.iter().copied().flatten() {
        let mut history = good();
        (tampering.change)(&mut history);
        let found = check(&history);
        if !found.iter().any(|contradiction| contradiction.invariant == tampering.caught_by) {
            let others: Vec<&str> = found.iter().map(|contradiction| contradiction.invariant).collect();
            missed.push(format!("{}: {} is silent, others: {others:?}", tampering.what, tampering.caught_by));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn every_invariant_rejects_something() {
    let caught = |name: &str| TAMPERED.iter().copied().flatten().any(|tampering| tampering.caught_by == name);
    let silent: Vec<&str> = checker::INVARIANTS
        .into_iter()
        .flatten()
        .map(|invariant| invariant.name)
        .filter(|name| !caught(name))
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert!(TAMPERED.iter().map(|group| group.len()).sum::<usize>() >= 40);
}
