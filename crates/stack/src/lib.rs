//! Starts Kafka, Postgres and the services as real processes, which can be killed, frozen and restarted.
//!
//! The crate has two users. The commands in `scripts/` (through the binary of this crate) run one system at fixed ports
//! under `.data/`. Tests (through [`Servers`] and the crate `testkit`) run any number of systems side by side. The library
//! prints nothing.

pub mod acls;
pub mod backlog;
pub mod buttons;
mod cluster;
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
pub mod random;
pub mod ready;
pub mod running;
mod scratch;
pub mod secrets;
mod servers;
pub mod service;
pub mod topics;
mod user;

pub use daemon::Daemon;
pub use error::{Error, Result};
pub use guard::{Certificate, Guard, Login};
pub use home::Home;
pub use scratch::Scratch;
pub use servers::{Place, Servers};
