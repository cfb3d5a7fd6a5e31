//! The service's own settings. These comments are its `--help`.

use std::time::Duration;

use axum::http::Uri;
use chassis::settings::TokenKey;
use clap::{Args, ValueEnum};
use events::Channel;
use events::values::DisplayName;
use lettre::message::Mailbox;
use secrecy::SecretString;

use crate::delivery::channel::smtp::{EhloName, mailbox};
use crate::domain::subscription::MAX_WAIT;

/// The settings of the notification service.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the notification service")]
pub struct Config {
    /// The key of the tokens in links
    #[command(flatten)]
    pub token_key: TokenKey,

    /// The mail server, as `smtp://user:password@host:587?tls=required` or `smtps://…`; without it messages go only to the log
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<SecretString>,

    /// Mails sent at the same time, each over its own connection; at most this many can be sent twice after a crash
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    pub smtp_connections: u16,

    /// The name of this client in EHLO, as mail.shop.example or [192.0.2.7] [default: the host's name where it is fully
    /// qualified, else the address of the connection]
    #[arg(long, env, value_name = "NAME")]
    pub smtp_hello_name: Option<EhloName>,

    /// The most mails of one kind per mailbox (an address without its +suffix) and hour, over all instances. Further ones fail, and
    /// can be sent with `notification resend`; "back in stock" mails are sent later. 0 for no limit
    #[arg(long, env, default_value_t = 30, value_name = "N")]
    pub mails_per_recipient_per_hour: u32,

    /// The sender of mails, as "Blue Shop <hello@shop.example>"
    #[arg(long, env, default_value = "shop@localhost", value_parser = sender, value_name = "ADDRESS")]
    pub mail_from: Mailbox,

    /// The shop's name in messages and pages
    #[arg(long, env, default_value = "Notify Me Shop", value_parser = display_name, value_name = "NAME")]
    pub shop_name: String,

    /// The shop's address on the web, for links in messages: it gets ?sku= and &claim=, and passes the claim on with the order
    #[arg(long, env, value_parser = web_url, value_name = "URL")]
    pub shop_url: Option<String>,

    /// Show the latest messages with their links at /inbox, to everyone: for a demonstration
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub demo_inbox: bool,

    /// Write each message to the log in full, with its links: for development
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub log_messages: bool,

    /// Whether `notify_me` in an order counts as consent, or a mail asks for confirmation
    #[arg(long, env, value_enum, default_value_t = OrderConsent::Trusted, value_name = "CONSENT")]
    pub order_consent: OrderConsent,

    /// Wanted units that a wave announces per available unit, because not every notified subscriber buys
    #[arg(long, env, default_value_t = 2.0, value_parser = factor, value_name = "FACTOR")]
    pub wave_factor: f64,

    /// Time between two waves, in which the notified subscribers can buy; at most 180 days, because no subscription waits longer
    #[arg(long, env, default_value = "15m", value_parser = interval, value_name = "DURATION")]
    pub wave_interval: Duration,

    /// The most subscription requests per client and hour; 0 for no limit
    #[arg(long, env, default_value_t = 100, value_name = "N")]
    pub subscriptions_per_client_per_hour: u32,

    /// The most subscription requests per mailbox (an address without its +suffix) and hour, for the form and for orders each; 0 for
    /// no limit
    #[arg(long, env, default_value_t = 10, value_name = "N")]
    pub subscriptions_per_address_per_hour: u32,
}

impl Config {
    /// The channel that decides whether a subscriber is notified.
    pub(crate) fn primary_channel(&self) -> Channel {
        if self.smtp_url.is_some() { Channel::Smtp } else { Channel::Log }
    }
}

/// The meaning of `notify_me` in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrderConsent {
    /// It subscribes; the message about the order says so, and has a link that ends it.
    Trusted,
    /// A mail asks the address to confirm.
    Confirm,
}

/// Checks a name that is shown in subjects, pages and `From`.
fn display_name(text: &str) -> Result<String, String> {
    text.parse::<DisplayName>().map(String::from).map_err(|error| error.to_string())
}

fn sender(text: &str) -> Result<Mailbox, String> {
    let sender = mailbox(text)?;
    if let Some(name) = &sender.name {
        display_name(name).map_err(|error| format!("the name {error}"))?;
    }
    Ok(sender)
}

/// With a longer interval, subscribers who are not in the first wave would expire before the second.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = chassis::duration(text).map_err(|error| error.to_string())?;
    if interval <= MAX_WAIT {
        Ok(interval)
    } else {
        Err("must be at most 180 days: no subscription waits longer".to_owned())
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (0.1..=1_000_000.0).contains(factor));
    factor.ok_or_else(|| "a number from 0.1 to 1000000 is expected".to_owned())
}

/// Checks an address that browsers are sent to.
fn web_url(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    uri.map(|_| text.to_owned()).ok_or_else(|| "a URL such as https://shop.example is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_names_and_factors_are_checked() {
        assert!(web_url("https://shop.example/buy?x=1").is_ok() && web_url("javascript:alert(1)").is_err());
        assert!(
            display_name("Blue Shop \u{2764}\u{fe0f}").is_ok() && display_name("Blue\u{202e} Shop").is_err()
        );
        assert!(sender("Blue Shop <hello@shop.example>").is_ok() && sender("hello@shop.example").is_ok());
        assert!(sender("Blue\u{200b} Shop <hello@shop.example>").is_err());
        assert!(interval("180d").is_ok() && interval("0s").is_ok() && interval("181d").is_err());
        assert!(factor("2").is_ok() && factor("0").is_err() && factor("NaN").is_err());
    }
}
