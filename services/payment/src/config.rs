//! The payment service's own settings.

use std::time::Duration;

use clap::Args;

/// What only this service can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the payment service")]
pub struct Config {
    /// How long each answer of the simulated gateway takes, as 250ms; PUT /gateway changes it for all instances at run
    /// time, and what it says lasts
    #[arg(long, env, default_value = "0s", value_parser = chassis::duration, value_name = "DURATION")]
    pub gateway_latency: Duration,
}
