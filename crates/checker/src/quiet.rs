//! Quiet at the end: nothing waits, nothing is stuck, and nothing became a dead letter that should not.

use std::collections::BTreeSet;

use crate::history::Location;
use crate::tables::{Broker, Position};
use crate::{Facts, Invariant};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "outboxes-are-empty", check: outboxes_are_empty },
    Invariant { name: "everything-is-read", check: everything_is_read },
    Invariant { name: "leases-are-held-by-the-living", check: leases_are_live },
    Invariant { name: "dead-letters-were-injected", check: dead_letters_were_injected },
    Invariant { name: "no-work-is-left", check: no_work_is_left },
];

fn brokers<'h>(facts: &Facts<'h>) -> impl Iterator<Item = (&'h String, &'h Broker)> {
    facts.history.tables.brokers.iter()
}

/// Every event is published.
fn outboxes_are_empty(facts: &Facts<'_>) -> Vec<String> {
    let full = brokers(facts).filter(|(_, broker)| !broker.outbox.is_empty());
    full.map(|(service, broker)| format!("{service}: {:?}", broker.outbox)).collect()
}

/// Every position is the end of its partition.
fn everything_is_read(facts: &Facts<'_>) -> Vec<String> {
    // Below 0 stands for the beginning: nothing was there to read.
    let behind = |position: &&Position| position.end != Some(position.next_offset.max(0));
    let positions = |(service, broker): (_, &Broker)| -> Vec<String> {
        let behind = broker.positions.iter().filter(behind);
        behind.map(|position| format!("{service}: {position:?}")).collect()
    };
    brokers(facts).flat_map(positions).collect()
}

/// Every lease is held by a process that renews it.
fn leases_are_live(facts: &Facts<'_>) -> Vec<String> {
    let expired = |(service, broker): (_, &Broker)| -> Vec<String> {
        let expired = broker.leases.iter().filter(|lease| !lease.live);
        expired.map(|lease| format!("{service}: nobody holds the lease {}", lease.name)).collect()
    };
    brokers(facts).flat_map(expired).collect()
}

/// The dead letters of each service are the injected records of the topics that it reads.
fn dead_letters_were_injected(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (service, broker) in brokers(facts) {
        let reads: BTreeSet<&str> = broker.positions.iter().map(|position| position.topic.as_str()).collect();
        let expected = facts.history.injected.iter().filter(|(topic, ..)| reads.contains(topic.as_str()));
        let expected: BTreeSet<Location> = expected.cloned().collect();
        let dead = broker.dead_letters.iter().filter(|letter| letter.redriven_at.is_none());
        let dead: BTreeSet<Location> =
            dead.map(|letter| (letter.topic.clone(), letter.partition, letter.log_offset)).collect();
        found
            .extend(dead.difference(&expected).map(|place| format!("{service}: {place:?} is a dead letter")));
        found.extend(
            expected.difference(&dead).map(|place| format!("{service}: {place:?} is no dead letter")),
        );
    }
    found
}

/// No payment has an open operation, and no delivery is claimed or due.
fn no_work_is_left(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let payments = tables.payments.iter().filter(|row| row.operation.is_some());
    let mut found: Vec<String> = payments.map(|row| format!("{row:?}")).collect();
    let deliveries = tables.deliveries.iter();
    let open = deliveries
        .filter(|row| row.token.is_some() || row.next_at.is_some() || row.status == "waiting_for_contact");
    found.extend(open.map(|row| format!("{row:?}")));
    found
}
