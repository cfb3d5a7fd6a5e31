//! The broker crate on a real Kafka and Postgres, with failures at every seam. Two small services (`examples/bank`) must book
//! each deposit once and in order, whatever is killed, frozen or repeated.
//!
//! `KAFKA_BROKERS` and `POSTGRES_URL` (of an administrator) name the servers; each test has its own topics, databases and role.
//! `tests/outages` has the tests that break the servers themselves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/bank/events.rs"]
mod events;
#[path = "../../examples/bank/ledger.rs"]
mod ledger;
#[path = "../../examples/bank/till.rs"]
mod till;

#[allow(dead_code, unused_imports, reason = "tests/outages uses the rest")]
mod support;

mod caught_up;
mod consumers;
mod crash;
mod growth;
mod order;
mod out_of_range;
mod poison;
mod policy;
mod progress;
mod readme;
mod redrive;
mod relays;
mod republish;
mod rewind;
mod shutdown;
mod states;
mod topics;
mod withdrawn;
