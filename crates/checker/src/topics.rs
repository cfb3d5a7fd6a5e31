//! Topics: the records themselves, and what they say beside the rows of their owners.

mod owners;

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Arrival, Cleanup, Sequence, names};
use events::CUSTOMERS;

use crate::facts::{TOPICS, at, headers};
use crate::history::{Record, Request};
use crate::{Facts, Invariant};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "records-are-events-of-their-owner", check: records_are_events },
    Invariant { name: "sequences-have-no-gap", check: sequences_have_no_gap },
    Invariant { name: "repetitions-are-identical", check: repetitions_are_identical },
    Invariant { name: "one-id-per-event", check: one_id_per_event },
    Invariant { name: "keys-stay-on-their-partition", check: keys_stay_on_their_partition },
    Invariant { name: "causes-exist", check: causes_exist },
    Invariant { name: "last-records-match-rows", check: owners::last_records_match_rows },
    Invariant { name: "addresses-are-on-customers-alone", check: addresses_are_on_customers_alone },
];

/// Each record parses, is about its key, and comes from the owner of its topic.
fn records_are_events(facts: &Facts<'_>) -> Vec<String> {
    facts.malformed.clone()
}

/// Per key, the first appearances are in order: on `delete` topics 1, 2, 3, …, on compacted ones rising.
fn sequences_have_no_gap(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for topic in TOPICS {
        let mut last = BTreeMap::<&str, Sequence>::new();
        for record in facts.records(topic) {
            let Ok(headers) = headers(record) else { continue };
            let known = last.entry(&record.key).or_insert(Sequence::NONE);
            let compacted_before = topic.cleanup == Cleanup::Compact && *known == Sequence::NONE;
            match headers.sequence.arrival(*known, topic.cleanup) {
                Arrival::Gap(missing) if !compacted_before => {
                    found.push(format!(
                        "{}: {missing} events before {} are missing",
                        at(record),
                        headers.sequence
                    ));
                }
                Arrival::Repeated => continue,
                _ => {}
            }
            *known = headers.sequence;
        }
    }
    found
}

/// The repetitions of an event are identical, byte for byte.
fn repetitions_are_identical(facts: &Facts<'_>) -> Vec<String> {
    // An event that its owner publishes again from its rows has another id.
    if facts.history.republished {
        return Vec::new();
    }
    let mut found = Vec::new();
    for topic in TOPICS {
        let mut first = BTreeMap::<(&str, Sequence), &Record>::new();
        for record in facts.records(topic) {
            let Ok(headers) = headers(record) else { continue };
            let known = first.entry((&record.key, headers.sequence)).or_insert(record);
            if (&known.value, &known.headers) != (&record.value, &record.headers) {
                found.push(format!("{} differs from {}", at(record), at(known)));
            }
        }
    }
    found
}

/// An id names one event: two records with the same id have the same key and sequence.
fn one_id_per_event(facts: &Facts<'_>) -> Vec<String> {
    let (mut known, mut found) = (BTreeMap::new(), Vec::new());
    for record in TOPICS.into_iter().flat_map(|topic| facts.records(topic)) {
        let Ok(headers) = headers(record) else { continue };
        let event = (record.topic.as_str(), record.key.as_str(), headers.sequence);
        if *known.entry(headers.id).or_insert(event) != event {
            found.push(format!("{} has the id of another event, {}", at(record), headers.id));
        }
    }
    found
}

/// All records of a key are on one partition; otherwise they would have no order.
fn keys_stay_on_their_partition(facts: &Facts<'_>) -> Vec<String> {
    let (mut known, mut found) = (BTreeMap::new(), Vec::new());
    for record in TOPICS.into_iter().flat_map(|topic| facts.records(topic)) {
        let partition =
            *known.entry((record.topic.as_str(), record.key.as_str())).or_insert(record.partition);
        if partition != record.partition {
            found.push(format!("{}: the key was on partition {partition}", at(record)));
        }
    }
    found
}

/// The event that caused another one is on a topic.
fn causes_exist(facts: &Facts<'_>) -> Vec<String> {
    let records = TOPICS.into_iter().flat_map(|topic| facts.records(topic));
    let ids: BTreeSet<&str> = records.filter_map(|record| record.header(names::ID)).collect();
    let mut found = Vec::new();
    for record in TOPICS.into_iter().flat_map(|topic| facts.records(topic)) {
        // Events that were published again have new ids, and their effects name the old ones.
        let cause = record.header(names::CAUSATION).filter(|_| !facts.history.republished);
        if let Some(cause) = cause.filter(|cause| !ids.contains(cause)) {
            found.push(format!("{}: its cause {cause} is on no topic", at(record)));
        }
    }
    found
}

/// No key, header or value of another topic than `customers` has an address of a client.
fn addresses_are_on_customers_alone(facts: &Facts<'_>) -> Vec<String> {
    let mut addresses = BTreeSet::new();
    for call in &facts.history.calls {
        match &call.request {
            Request::Place { body, .. } => addresses.extend(body["email"].as_str()),
            Request::Subscribe { email, .. } => _ = addresses.insert(email),
            _ => {}
        }
    }
    let has = |text: &str| {
        // Most texts have no at sign, and are not compared with each address.
        text.contains('@')
            && addresses.iter().any(|address| text.to_lowercase().contains(&address.to_lowercase()))
    };
    let others = facts.history.records.iter().filter(|record| record.topic != CUSTOMERS.name);
    let leaking = others.filter(|record| {
        has(&record.key)
            || record.value.as_deref().is_some_and(has)
            || record.headers.iter().any(|(_, value)| has(value))
    });
    leaking.map(|record| format!("{} has an address", at(record))).collect()
}
