//! The broker crate on real Kafka and Postgres, broken at every seam: two small services (`examples/bank`) whose
//! deposits must each be booked once, in order, whatever dies, freezes or comes twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/bank/events.rs"]
mod events;
#[path = "../../examples/bank/ledger.rs"]
mod ledger;
#[path = "../../examples/bank/till.rs"]
mod till;

mod support;

mod caught_up;
mod consumers;
mod crash;
mod growth;
mod lost;
mod order;
mod outage;
mod poison;
mod redrive;
mod relays;
mod republish;
mod rewind;
mod rewritten;
mod shutdown;
mod standstill;
mod states;
mod topics;
mod withdrawn;
