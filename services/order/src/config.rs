//! The order service's own settings; `order --help` shows these comments as the manual.

use std::time::Duration;

use chassis::settings::TokenKey;
use clap::Args;

/// The settings of this service alone.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the order service")]
pub struct Config {
    /// Creates and checks cancel tokens
    #[command(flatten)]
    pub token_key: TokenKey,

    /// The time after which an order without answers from payment and inventory is cancelled, such as 24h or 90s; at least 1s.
    /// When it is shortened, pending orders expire at the latest this long after the service starts
    #[arg(long, env, default_value = "24h", value_parser = expiry, value_name = "DURATION")]
    pub order_expires_after: Duration,

    /// The most requests to place an order per client (an IPv4 address, an IPv6 /64), minute and instance. Refused and
    /// repeated requests count too; programs on this machine do not. 0 for no limit
    #[arg(long, env, default_value_t = 120, value_name = "N")]
    pub orders_per_client_per_minute: u32,

    /// The most orders with `notify_me` per client, hour and instance. Further orders are accepted without `notify_me`.
    /// Programs on this machine do not count. 0 for no limit
    #[arg(long, env, default_value_t = 100, value_name = "N")]
    pub notify_me_per_client_per_hour: u32,
}

/// A shorter time would cancel orders before an answer can arrive.
const SHORTEST: Duration = Duration::from_secs(1);

fn expiry(text: &str) -> Result<Duration, String> {
    let duration = chassis::duration(text).map_err(|error| error.to_string())?;
    if duration < SHORTEST || duration > chassis::settings::LONGEST {
        return Err("must be at least 1s and at most 100 years".to_owned());
    }
    Ok(duration)
}
