//! Starts Kafka, Postgres and the services as real processes, which can be killed, frozen and restarted.
//!
//! The crate has two users. The commands in `scripts/` (through the binary of this crate) run one system at fixed ports
//! under `.data/`. Tests ([`Servers`], [`System`]) run any number of systems side by side. The library prints nothing.

pub mod assignment;
pub mod backlog;
mod daemon;
pub mod environment;
mod error;
pub mod home;
pub mod java;
pub mod kafka;
pub mod manual;
pub mod maven;
pub mod ports;
pub mod postgres;
pub mod process;
mod process_table;
mod program;
pub mod provision;
mod random;
pub mod ready;
pub mod running;
mod scratch;
pub mod secrets;
mod servers;
pub mod service;
pub mod sqlx_data;
mod system;
mod system_builder;
pub mod topics;
mod user;

pub use daemon::Daemon;
pub use error::{Error, Result};
pub use home::Home;
pub use servers::Servers;
pub use system::System;
pub use system_builder::Builder;
