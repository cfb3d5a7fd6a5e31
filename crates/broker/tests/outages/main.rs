//! The broker crate on a Kafka and a Postgres that are killed, frozen, or lose the end of their logs. Each test starts its own
//! servers with the crate `stack`; the tests in `tests/seams` need only the addresses of servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/bank/events.rs"]
mod events;
#[path = "../../examples/bank/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "the seam tests use the rest")]
#[path = "../seams/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the seam tests close accounts")]
#[path = "../../examples/bank/till.rs"]
mod till;

mod log_files;
mod private;

mod order;
mod outage;
mod replaced_logs;
mod shutdown;
mod withdrawn;
