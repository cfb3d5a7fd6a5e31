//! A whole system for one test: the real services as processes, with their own topics, databases and ports, on a real
//! Kafka and a real Postgres, and the ways to break them.
//!
//! The processes and servers come from `stack`, as in `./scripts/up`. The library prints nothing, except the logs of a
//! failed test.

mod backup;
mod builder;
mod system;
pub mod topics;
pub mod users;

pub use builder::Builder;
pub use stack::kafka::client as kafka_client;
pub use stack::{Certificate, Daemon, Home, Place, Scratch, Servers, ports};
pub use system::System;
