//! The settings that all services share, each an environment variable or an option. `SERVICE --help` shows these comments.
//! Secrets can also come from files: see [`secrets`].

mod operators;
mod secrets;
mod token_key;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use web::{AdminToken, Origins, TrustedProxies};

pub use secrets::complete;
pub use token_key::{TokenKey, TokenKeys};
pub use values::{LONGEST, Retention, duration, moment};

const SHORTEST_SECRET: usize = 16;

/// The settings of every service.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[command(next_help_heading = "Settings of every service")]
pub struct Common {
    /// The service's own Postgres database, with the rights of the running service: postgres://role:password@host:port/database;
    /// with ?sslmode=verify-full&sslrootcert=FILE the service checks the server's certificate
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,

    /// The same database with the rights to change its schema; `migrate` alone needs it
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub migrate_database_url: Option<SecretString>,

    /// Bootstrap servers of Kafka, comma-separated
    #[arg(long, env, default_value = "127.0.0.1:19092", value_name = "HOST:PORT,…")]
    pub kafka_brokers: String,

    /// The connection of these options; `commands::parse` sets it.
    #[arg(skip)]
    pub connection: connection::Connection,

    /// Prefix of every topic's and group's name, so that several systems can share a cluster
    #[arg(long, env, default_value = "", hide_default_value = true, value_parser = values::topic_prefix)]
    pub topic_prefix: String,

    /// Partitions of each topic, the same for all services; at most this many instances of a service can consume in parallel
    #[arg(long, env, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub topic_partitions: i32,

    /// Retention of events, such as 30d; -1 for ever. The same for all services; `migrate` also sets it on existing topics, and
    /// Kafka deletes older events
    #[arg(long, env, default_value = "30d", allow_hyphen_values = true, value_name = "DURATION")]
    pub topic_retention: Retention,

    /// Replicas of each topic [default: 3, or the number of brokers when there are fewer]
    #[arg(long, env, value_parser = values::count, value_name = "N")]
    pub topic_replication: Option<usize>,

    /// Replicas that must have an event before Kafka acknowledges it (min.insync.replicas) [default: 2 of 3 or more, else 1]
    #[arg(long, env, value_parser = values::count, value_name = "N")]
    pub topic_min_insync_replicas: Option<usize>,

    /// Whether `migrate` creates the topics and corrects their settings, or an external tool does, such as Strimzi or Terraform.
    /// With verify, `migrate` prints the wanted topics and only compares
    #[arg(long, env, value_enum, default_value_t = Topics::Manage, value_name = "MODE")]
    pub topics: Topics,

    /// Address of the API
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Address of the ops port: /health/live, /health/ready, /health/consuming, /metrics
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub ops_listen: SocketAddr,

    /// Name of this instance, the same after a restart: then the instance rejoins its consumer group at once
    #[arg(long, env, value_parser = values::instance, value_name = "NAME")]
    pub instance: Option<String>,

    /// Token of the operator for Authorization: Bearer, at least 16 characters. Without it operators' requests are refused. The
    /// log names this operator admin
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: Option<SecretString>,

    /// Previous ADMIN_TOKEN, which stays valid while it is set
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub admin_token_previous: Option<SecretString>,

    /// Tokens of operators whom the log names: ada:token,bob:token, or one per line. A name can have two tokens while its token
    /// is being changed
    #[arg(long, env, hide_env_values = true, value_name = "NAME:TOKEN,…")]
    pub operator_tokens: Option<SecretString>,

    /// URL of this service from outside, for links [default: http:// and LISTEN]
    #[arg(long, env, value_parser = values::public_url, value_name = "URL")]
    pub public_url: Option<String>,

    /// Networks of trusted proxies, such as 10.0.0.0/8,::1. Their X-Forwarded-For names the client (198.51.100.1:5000 and
    /// [2001:db8::1]:5000 are valid too); without it, their Forwarded (RFC 7239) does. A proxy that writes only Forwarded must
    /// delete its clients' X-Forwarded-For
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "NETWORK,…")]
    pub trusted_proxies: TrustedProxies,

    /// Origins whose pages may call this service, such as https://shop.example,http://localhost:3000; * for all
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "ORIGIN,…")]
    pub cors_origins: Origins,

    /// Events in the outbox beyond which new work is refused with 503; counted every second, so the limit can be exceeded
    #[arg(long, env, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..), value_name = "ROWS")]
    pub outbox_limit: i64,

    /// Number of consecutive dead letters on a topic after which its consumer stops: they indicate a bad deployment
    #[arg(long, env, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub dead_letter_limit: u64,

    /// Prefix of this program's name in messages that name a command, such as ./scripts/run
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "WORDS")]
    pub command_prefix: String,

    /// Whether to serve /docs and /openapi.json
    #[arg(long, env, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub api_docs: bool,

    /// Format of log lines: for people or for machines
    #[arg(long, env, value_enum, default_value_t = LogFormat::Pretty, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Level of the log: error, warn, info, debug or trace, also per module: info,broker=debug
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub rust_log: String,

    /// OTLP collector for traces (over HTTP), such as http://127.0.0.1:4318; without it no spans are created
    #[arg(long, env, value_parser = values::public_url, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,

    // Last: its heading in --help would be that of the settings after it. A doc comment here would be a text under that heading.
    #[command(flatten)]
    pub kafka: connection::Options,
}

/// The creator of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topics {
    /// `migrate` creates topics and corrects their settings.
    Manage,
    /// `migrate` only compares.
    Verify,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Common {
    /// Returns `DATABASE_URL`; an error when it is not set.
    pub fn database_url(&self) -> Result<&SecretString, SettingError> {
        self.database_url.as_ref().ok_or(SettingError::Missing { name: "DATABASE_URL" })
    }

    /// Returns `MIGRATE_DATABASE_URL`; an error when it is not set.
    pub fn migrate_database_url(&self) -> Result<&SecretString, SettingError> {
        self.migrate_database_url.as_ref().ok_or(SettingError::Missing { name: "MIGRATE_DATABASE_URL" })
    }

    /// Returns the command with which an operator calls `service`, for messages.
    pub fn program(&self, service: &str) -> String {
        if self.command_prefix.is_empty() {
            service.to_owned()
        } else {
            format!("{} {service}", self.command_prefix)
        }
    }

    /// Returns the operators' tokens; an error when one is invalid.
    pub fn operators(&self) -> Result<AdminToken, SettingError> {
        let all = operators::all(self)?;
        Ok(AdminToken::new(all.iter().map(|(name, token)| (name.as_str(), token))))
    }

    /// Returns the URL of this service from outside, without a slash at the end.
    pub fn public_url(&self) -> String {
        let own = || format!("http://{}", crate::probe::reachable(self.listen));
        self.public_url.clone().unwrap_or_else(own)
    }
}

/// Returns the secret; an error when it is short enough to be guessed.
fn long_enough<'a>(name: &'static str, secret: &'a SecretString) -> Result<&'a str, SettingError> {
    let secret = secret.expose_secret();
    if secret.chars().count() < SHORTEST_SECRET { Err(SettingError::Short { name }) } else { Ok(secret) }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error(transparent)]
    Kafka(#[from] connection::ConnectionError),
    #[error("{name} is not set (nor {name}_FILE); --help explains it")]
    Missing { name: &'static str },
    #[error("{name} must have at least {SHORTEST_SECRET} characters: openssl rand -hex 32 makes one")]
    Short { name: &'static str },
    /// An invalid entry of `OPERATOR_TOKENS`, named by its number, from 1, because its text contains a token.
    #[error(
        "OPERATOR_TOKENS: entry {number} {problem}; NAME:TOKEN is expected, with a name of 1 to 64 letters, digits, '.', \
         '_' and '-', and a token of at least {SHORTEST_SECRET} characters: openssl rand -hex 32 makes one"
    )]
    Operator { number: usize, problem: &'static str },
    #[error("both {name} and {name}_FILE are set: set one of them")]
    Twice { name: String },
    #[error("{name}_FILE: cannot read {}: {cause}", path.display())]
    Unreadable { name: String, path: PathBuf, cause: std::io::Error },
    #[error("{name}_FILE: {} is empty", path.display())]
    Empty { name: String, path: PathBuf },
}
