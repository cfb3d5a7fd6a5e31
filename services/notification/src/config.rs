//! The service's own settings; these comments are its manual.

use std::time::Duration;

use axum::http::Uri;
use chassis::settings::TokenKey;
use clap::{Args, ValueEnum};
use events::Channel;
use events::values::DisplayName;
use lettre::message::Mailbox;
use secrecy::SecretString;
use web::Origins;

use crate::deliver::channel::smtp::{HelloName, mailbox};
use crate::notify_me::subscriptions::WAITS;

/// What the notification service can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the notification service")]
pub struct Config {
    /// Makes and checks the tokens in links
    #[command(flatten)]
    pub token_key: TokenKey,

    /// The mail server, as `smtp://user:password@host:587?tls=required` or `smtps://…`; without it messages go to the log alone
    #[arg(long, env, value_parser = chassis::settings::secret, hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<SecretString>,

    /// Mails handed over at the same time, each over a connection of its own; so many can repeat after a crash
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    pub smtp_connections: u16,

    /// The name for greeting the mail server (EHLO), as mail.shop.example or [192.0.2.7] [default: the host's name where it is
    /// fully qualified, else the address of the connection]
    #[arg(long, env, value_name = "NAME")]
    pub smtp_hello_name: Option<HelloName>,

    /// Mails of one kind that one mailbox (an address without its +suffix) is sent in an hour, over all instances. Those
    /// beyond fail, and can be sent with `notification resend`; what is back in stock is told later. 0 for no limit
    #[arg(long, env, default_value_t = 30, value_name = "N")]
    pub mails_per_recipient_per_hour: u32,

    /// Whom mails come from, as "Blue Shop <hello@shop.example>"
    #[arg(long, env, default_value = "shop@localhost", value_parser = sender, value_name = "ADDRESS")]
    pub mail_from: Mailbox,

    /// What the shop is called in messages and pages
    #[arg(long, env, default_value = "Notify Me Shop", value_parser = display_name, value_name = "NAME")]
    pub shop_name: String,

    /// Where the shop is on the web, for links in messages: it gets ?sku= and &claim=, and passes the claim on with the order
    #[arg(long, env, value_parser = web_url, value_name = "URL")]
    pub shop_url: Option<String>,

    /// Origins whose pages may post the form to /subscriptions, as `https://shop.example,http://localhost:3000`; * for all
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "ORIGIN,…")]
    pub cors_origins: Origins,

    /// Write each message to the log as its recipient reads it, links included: for development
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub log_messages: bool,

    /// Whether an order that asks to be told (`notify_me`) is consent enough, or a mail asks for confirmation
    #[arg(long, env, value_enum, default_value_t = OrderConsent::Trusted, value_name = "CONSENT")]
    pub order_consent: OrderConsent,

    /// Units told of for each unit in stock, as not everybody who is told buys
    #[arg(long, env, default_value_t = 2.0, value_parser = factor, value_name = "FACTOR")]
    pub wave_factor: f64,

    /// How long those told have before the next in line are told; at most 180 days, as nobody waits longer
    #[arg(long, env, default_value = "15m", value_parser = interval, value_name = "DURATION")]
    pub wave_interval: Duration,

    /// Subscriptions that a client may ask for in an hour; 0 for no limit
    #[arg(long, env, default_value_t = 100, value_name = "N")]
    pub subscriptions_per_client_per_hour: u32,

    /// Subscriptions that may be asked for a mailbox (an address without its plus part) in an hour, by the form and by orders
    /// each; 0 for no limit
    #[arg(long, env, default_value_t = 10, value_name = "N")]
    pub subscriptions_per_address_per_hour: u32,
}

impl Config {
    /// The channel that counts for subscribers: who has its message is told.
    pub(crate) fn tells(&self) -> Channel {
        if self.smtp_url.is_some() { Channel::Smtp } else { Channel::Log }
    }
}

/// What an order's `notify_me` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrderConsent {
    /// It subscribes; the message about the order says so and undoes it by one click.
    Trusted,
    /// A mail asks the address to confirm.
    Confirm,
}

/// A name that stands in subjects, pages and `From`.
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

/// With a longer one, those who are not in the first wave would lapse before the second.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = chassis::duration(text).map_err(|error| error.to_string())?;
    if interval <= WAITS {
        Ok(interval)
    } else {
        Err("must be at most 180 days: nobody waits longer".to_owned())
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (0.1..=1_000_000.0).contains(factor));
    factor.ok_or_else(|| "a number from 0.1 to 1000000 is expected".to_owned())
}

/// An address that a browser may be sent to.
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
