//! Runs a service from a [`Service`] value: commands, settings, logs, traces, database, health, metrics and shutdown.
//!
//! A service describes itself ([`Service`]) and creates its parts ([`Parts`]). Everything that all services have in common
//! is here.

#![allow(
    missing_docs,
    reason = "the crate is of this workspace alone; a name that says all needs no comment"
)]

#[cfg(all(feature = "jemalloc", target_os = "linux"))]
mod allocator;
mod commands;
pub mod database;
mod history;
pub mod logging;
mod metrics;
mod migrate;
mod ops;
mod parts;
mod periodic;
mod probe;
mod run;
mod service;
pub mod settings;
mod telemetry;
mod upgrade;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

pub use service::{Command, Context, Parts, Service, Task, Wire};
pub use settings::{Common, duration, moment};
pub use upgrade::{Batch, Upgrade};

/// Runs the service, or the command on the command line.
pub fn run(service: &Service) -> ExitCode {
    let done = program::ignore_libpq_variables().context("cannot start without libpq's variables (PG…)");
    match done.and_then(|()| start(service)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            program::complain(format_args!("{}: {error:#}", service.name));
            ExitCode::FAILURE
        }
    }
}

fn start(service: &Service) -> anyhow::Result<()> {
    let (cli, command) = commands::parse(service)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let result = runtime.block_on(async {
        let source = logging::Source { service: service.name, instance: cli.common.instance.clone() };
        let endpoint = cli.common.otel_exporter_otlp_endpoint.as_deref();
        let (telemetry, spans) = telemetry::start(endpoint, &source)?;
        logging::start(cli.common.log_format, &cli.common.rust_log, source, spans)?;
        let result = match command {
            None => run::run(service, &cli).await,
            Some(command) => commands::execute(service, &cli, command).await,
        };
        telemetry.shutdown().await;
        result
    });
    // Threads that still wait for another system must not delay the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
