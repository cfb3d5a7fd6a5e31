//! The settings that all services share, each by an environment variable or an option; `SERVICE --help` shows
//! these comments as the manual. Secrets may also come from files: see [`secrets`].

mod operators;
mod secrets;
mod token_key;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use web::{AdminToken, TrustedProxies};

pub use secrets::complete;
pub use token_key::{TokenKey, TokenKeys};
pub use values::{LONGEST, Retention, duration, moment, secret};

const SHORTEST_SECRET: usize = 16;

/// What every service can be told.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[command(next_help_heading = "Settings of every service")]
pub struct Common {
    /// The service's own Postgres database, with the rights that it runs with: postgres://role:password@host:port/database
    #[arg(long, env, value_parser = secret, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,

    /// The same database with the rights to change its schema; `migrate` alone needs it
    #[arg(long, env, value_parser = secret, hide_env_values = true, value_name = "URL")]
    pub migrate_database_url: Option<SecretString>,

    /// Kafka's bootstrap servers, comma-separated
    #[arg(long, env, default_value = "127.0.0.1:19092", value_name = "HOST:PORT,…")]
    pub kafka_brokers: String,

    /// Stands before the name of every topic and group, so that several systems share a cluster
    #[arg(long, env, default_value = "", hide_default_value = true, value_parser = values::topic_prefix)]
    pub topic_prefix: String,

    /// Partitions of each topic, the same for all services: the most instances that can share the work
    #[arg(long, env, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub topic_partitions: i32,

    /// How long events are kept in the log, as 30d; -1 for ever. The same for all services; `migrate` sets it on topics that
    /// are there too, and Kafka deletes what is older
    #[arg(long, env, default_value = "30d", allow_hyphen_values = true, value_name = "DURATION")]
    pub topic_retention: Retention,

    /// Where this service answers its callers
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Where it answers its operators: /health/live, /health/ready, /health/consuming, /metrics
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub ops_listen: SocketAddr,

    /// This instance's name, one that it keeps across restarts: it is back in its consumer group at once then
    #[arg(long, env, value_parser = values::instance, value_name = "NAME")]
    pub instance: Option<String>,

    /// The operator's token for Authorization: Bearer, at least 16 characters; without it operator calls are refused. The log
    /// calls its bearer admin
    #[arg(long, env, value_parser = secret, hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: Option<SecretString>,

    /// The ADMIN_TOKEN of before, which is taken too while it is being changed
    #[arg(long, env, value_parser = secret, hide_env_values = true, value_name = "TOKEN")]
    pub admin_token_previous: Option<SecretString>,

    /// Tokens of named operators, whose acts the log tells apart: ada:token,bob:token, or one a line. A name may stand twice,
    /// while its token is being changed
    #[arg(long, env, value_parser = secret, hide_env_values = true, value_name = "NAME:TOKEN,…")]
    pub operator_tokens: Option<SecretString>,

    /// How this service is reached from outside, for links [default: http:// and LISTEN]
    #[arg(long, env, value_parser = values::public_url, value_name = "URL")]
    pub public_url: Option<String>,

    /// Networks of the proxies that are believed when they say who calls, as 10.0.0.0/8,::1: by X-Forwarded-For where it is
    /// there (198.51.100.1:5000 and [2001:db8::1]:5000 are read too), else by Forwarded (RFC 7239). A proxy that writes
    /// Forwarded alone must delete its clients' X-Forwarded-For
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "NETWORK,…")]
    pub trusted_proxies: TrustedProxies,

    /// Events waiting for Kafka before new work is refused with 503; they are counted every second, so some more may come in
    #[arg(long, env, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..), value_name = "ROWS")]
    pub outbox_limit: i64,

    /// Dead letters in a row, without one success, that count as a bad deployment: the service waits then
    #[arg(long, env, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub dead_letter_limit: u64,

    /// Stands before this program's name where a message tells which command helps, as ./scripts/run
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "WORDS")]
    pub command_prefix: String,

    /// Whether /docs and /openapi.json are there
    #[arg(long, env, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub api_docs: bool,

    /// Log lines for people or for machines
    #[arg(long, env, value_enum, default_value_t = LogFormat::Pretty, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, also by module as info,broker=debug
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub rust_log: String,

    /// Where spans are sent (OTLP over HTTP), as http://127.0.0.1:4318; none are made without it
    #[arg(long, env, value_parser = values::public_url, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Pretty,
    /// A JSON object a line.
    Json,
}

impl Common {
    /// `DATABASE_URL`, or what is missing.
    pub fn database_url(&self) -> Result<&SecretString, SettingError> {
        self.database_url.as_ref().ok_or(SettingError::Missing { name: "DATABASE_URL" })
    }

    /// `MIGRATE_DATABASE_URL`, or what is missing.
    pub fn migrate_database_url(&self) -> Result<&SecretString, SettingError> {
        self.migrate_database_url.as_ref().ok_or(SettingError::Missing { name: "MIGRATE_DATABASE_URL" })
    }

    /// How an operator calls the program of this service, in messages that tell which command helps.
    pub fn program(&self, service: &str) -> String {
        if self.command_prefix.is_empty() {
            service.to_owned()
        } else {
            format!("{} {service}", self.command_prefix)
        }
    }

    /// The operators' tokens, or what is wrong with them.
    pub fn operators(&self) -> Result<AdminToken, SettingError> {
        let all = operators::all(self)?;
        Ok(AdminToken::new(all.iter().map(|(name, token)| (name.as_str(), token))))
    }

    /// How this service is reached from outside, without a slash at the end.
    pub fn public_url(&self) -> String {
        let own = || format!("http://{}", crate::probe::reachable(self.listen));
        self.public_url.clone().unwrap_or_else(own)
    }
}

/// A secret that nobody guesses.
fn long_enough<'a>(name: &'static str, secret: &'a SecretString) -> Result<&'a str, SettingError> {
    let secret = secret.expose_secret();
    if secret.chars().count() < SHORTEST_SECRET { Err(SettingError::Short { name }) } else { Ok(secret) }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A setting that this command needs is not there.
    #[error("{name} is not set (nor {name}_FILE); --help explains it")]
    Missing {
        /// The environment variable.
        name: &'static str,
    },
    /// A secret that could be guessed.
    #[error("{name} must have at least {SHORTEST_SECRET} characters: openssl rand -hex 32 makes one")]
    Short {
        /// The environment variable.
        name: &'static str,
    },
    /// An entry of `OPERATOR_TOKENS` that is none; its number instead of its text, which holds a token.
    #[error(
        "OPERATOR_TOKENS: entry {number} {problem}; NAME:TOKEN is expected, with a name of 1 to 64 letters, digits, '.', \
         '_' and '-', and a token of at least {SHORTEST_SECRET} characters: openssl rand -hex 32 makes one"
    )]
    Operator {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret came twice.
    #[error("both {name} and {name}_FILE are set: set one of them")]
    Twice {
        /// The environment variable.
        name: String,
    },
    /// A secret's file cannot be read.
    #[error("{name}_FILE: cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The environment variable.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// A secret's file has nothing in it.
    #[error("{name}_FILE: {} is empty", path.display())]
    Empty {
        /// The environment variable.
        name: String,
        /// The file.
        path: PathBuf,
    },
}
