//! Starts Kafka, Postgres and the services as real processes, which can be killed, frozen and restarted.
//!
//! The crate has two users. The commands in `scripts/` (through the program of `stack-cli`) run one system at fixed ports
//! under `.data/`. Tests (through [`Servers`] and the crate `testkit`) run any number of systems side by side. The library
//! prints nothing.

#![allow(missing_docs, reason = "no other repository uses this crate, and most names say enough")]

pub mod acls;
pub mod backlog;
mod daemon;
pub mod environment;
mod error;
mod guard;
pub mod helper;
pub mod home;
pub mod java;
pub mod kafka;
pub mod manual;
pub mod maven;
pub mod ports;
pub mod postgres;
pub mod process;
mod process_table;
pub mod provision;
pub mod ready;
pub mod running;
mod scratch;
pub mod secrets;
mod servers;
pub mod service;
mod stop;
pub mod topics;

pub use daemon::Daemon;
pub use error::{During, Error, Result};
pub use guard::{Guard, Login, login_settings};
pub use home::Home;
pub use scratch::Scratch;
pub use servers::{Place, Plan, Servers};
pub use stop::Stop;
