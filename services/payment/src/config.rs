//! The payment service's own settings.

use std::time::Duration;

use clap::Args;

use crate::gateway;

/// What only this service can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the payment service")]
pub struct Config {
    /// How long each answer of the simulated gateway takes, as 250ms; PUT /gateway changes it for all instances at run
    /// time, and what it says lasts. At most 10s: a call is ended after 12s
    #[arg(long, env, default_value = "0s", value_parser = latency, value_name = "DURATION")]
    pub gateway_latency: Duration,
}

fn latency(text: &str) -> Result<Duration, String> {
    let latency = chassis::duration(text).map_err(|error| error.to_string())?;
    gateway::allowed_latency(latency)
}
