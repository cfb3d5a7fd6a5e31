//! The service's own settings; `order --help` shows these comments as the manual.

use std::time::Duration;

use chassis::settings::TokenKey;
use clap::Args;

/// What the order service can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the order service")]
pub struct Config {
    /// Makes and checks cancel tokens
    #[command(flatten)]
    pub token_key: TokenKey,

    /// How long an order waits for payment and inventory before it is cancelled, as 24h or 90s; from 1s. A shorter time than
    /// before counts from the start of the service for the orders that wait already
    #[arg(long, env, default_value = "24h", value_parser = patience, value_name = "DURATION")]
    pub order_expires_after: Duration,

    /// How many requests to place an order one client (an IPv4 address, an IPv6 /64) may send in a minute to one instance,
    /// refused and repeated ones included; programs on this machine are not counted. 0 for no limit
    #[arg(long, env, default_value_t = 120, value_name = "N")]
    pub orders_per_client_per_minute: u32,

    /// How many orders with `notify_me` one client may send in an hour to one instance; those beyond are taken without the
    /// wish to be told; programs on this machine are not counted. 0 for no limit
    #[arg(long, env, default_value_t = 100, value_name = "N")]
    pub notify_me_per_client_per_hour: u32,
}

/// With less, orders would be cancelled before their answers can have come.
const SHORTEST: Duration = Duration::from_secs(1);

fn patience(text: &str) -> Result<Duration, String> {
    let duration = chassis::duration(text).map_err(|error| error.to_string())?;
    if duration < SHORTEST || duration > chassis::settings::LONGEST {
        return Err("must be at least 1s and at most 100 years".to_owned());
    }
    Ok(duration)
}
