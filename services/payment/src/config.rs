//! The payment service's own settings; `payment --help` shows these comments as the manual.

use std::time::Duration;

use clap::Args;

use crate::gateway;

/// The settings of this service alone.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the payment service")]
pub struct Config {
    /// The latency of each answer of the simulated gateway, as 250ms. PUT /gateway overrides it for all instances at run
    /// time, also after a restart. At most 10s, since a call times out after 12s
    #[arg(long, env, default_value = "0s", value_parser = latency, value_name = "DURATION")]
    pub gateway_latency: Duration,
}

fn latency(text: &str) -> Result<Duration, String> {
    let latency = chassis::duration(text).map_err(|error| error.to_string())?;
    gateway::allowed_latency(latency)
}
