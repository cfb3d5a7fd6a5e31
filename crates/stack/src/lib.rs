//! Starts Kafka, Postgres and the services as real processes, which can be killed, frozen and started again.
//!
//! Two users: the commands in `scripts/` (through the binary of this crate) keep one system at fixed ports under
//! `.data/`; tests ([`Servers`], [`System`]) start as many as they like beside each other. The library prints nothing.

mod daemon;
mod error;
mod home;
mod java;
mod kafka;
mod maven;
pub mod ports;
mod postgres;
mod process;
mod process_table;
mod program;
mod random;
mod ready;
mod scratch;
mod servers;
pub mod sqlx_data;
mod user;

pub use daemon::Daemon;
pub use error::{Error, Result};
pub use home::Home;
pub use servers::Servers;
