//! The service's own settings; these comments are its manual.

use clap::Args;
use lettre::message::Mailbox;
use secrecy::SecretString;

/// What the notification service can be told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the notification service")]
pub struct Config {
    /// The mail server, as `smtp://user:password@host:587?tls=required` or `smtps://…`; without it messages go to the log alone
    #[arg(long, env, value_parser = chassis::settings::secret, hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<SecretString>,

    /// Whom mails come from, as "Blue Shop <hello@shop.example>"
    #[arg(long, env, default_value = "shop@localhost", value_name = "ADDRESS")]
    pub mail_from: Mailbox,

    /// What the shop is called in messages and pages
    #[arg(long, env, default_value = "Notify Me Shop", value_name = "NAME")]
    pub shop_name: String,

    /// Where the shop is on the web, for links in messages
    #[arg(long, env, value_name = "URL")]
    pub shop_url: Option<String>,

    /// Write each message to the log as its recipient reads it, links included: for development
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub log_messages: bool,
}
