//! A whole system for one test: the real services as processes, with their own topics, databases and ports, on a real
//! Kafka and a real Postgres, and the ways to break them.
//!
//! The processes and servers come from `stack`, as in `./scripts/up`. The library prints nothing, except the logs of a
//! failed test.

#![allow(missing_docs, reason = "no other repository uses this crate, and most names say enough")]

mod builder;
pub mod cluster;
mod login;
mod system;
pub mod topics;
pub mod users;

pub use builder::Builder;
pub use login::{Certificate, tokens};
pub use stack::kafka::client as kafka_client;
pub use stack::{Daemon, Home, Login, Place, Plan, Scratch, Servers, ports};
pub use system::System;

use stack::Stop;

/// Runs something until it ends or a signal stops the program. In both cases everything that it started is
/// dropped, and so stopped.
pub async fn until_stopped<T, E: From<std::io::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut stop = Stop::new()?;
    tokio::select! {
        result = work => result,
        which = stop.asked() => Err(std::io::Error::other(format!("stopped by {which}")).into()),
    }
}
