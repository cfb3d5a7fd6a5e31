use std::num::NonZeroU32;

use super::*;

fn refusals(attempts: Option<u32>, length: usize) -> Refusals {
    let attempts = attempts.and_then(NonZeroU32::new);
    Refusals::new(Policy { attempts, ..Policy::default() }, length)
}

fn retry() -> Failure {
    Failure::Retry("a lookup table is empty".into())
}

fn outage() -> Failure {
    Failure::from(sqlx::Error::PoolTimedOut)
}

/// Fails each part that contains `bad` until that record is rejected or `rounds` attempts have failed.
fn fail(refusals: &mut Refusals, length: usize, bad: usize, failure: fn() -> Failure, rounds: u32) -> u32 {
    let (mut parts, mut failed) = (Parts::whole(length), 0);
    while let Some(part) = parts.take_next() {
        if part.contains(&bad) && !refusals.rejected.contains_key(&bad) && failed < rounds {
            failed += 1;
            refusals.divide(&mut parts, part, failure());
        }
    }
    failed
}

#[test]
fn a_record_is_rejected_after_the_attempts_that_the_policy_allows() {
    let mut refusals = refusals(Some(3), 1);
    assert_eq!(fail(&mut refusals, 1, 0, retry, 10), 3);
    assert_eq!(refusals.rejected[&0], "not applied in 3 attempts: a lookup table is empty");
}

#[test]
fn only_the_record_that_fails_is_rejected() {
    let mut refusals = refusals(Some(2), 8);
    fail(&mut refusals, 8, 5, retry, 100);
    assert_eq!(refusals.rejected.keys().collect::<Vec<_>>(), [&5]);
}

#[test]
fn by_default_attempts_are_unlimited_and_an_outage_never_counts() {
    for (attempts, failure) in [(None, retry as fn() -> Failure), (Some(2), outage)] {
        let mut refusals = refusals(attempts, 4);
        assert_eq!(fail(&mut refusals, 4, 2, failure, 50), 50);
        assert!(refusals.rejected.is_empty());
    }
}
