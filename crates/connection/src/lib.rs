//! How a client connects to Kafka: the only place that turns the `KAFKA_…` settings into properties of librdkafka, for the
//! services, their commands and the tools.
//!
//! [`Options`] are the settings, [`Connection`] is their checked form, which each client asks for its properties. A client
//! that Kafka refuses reports that to the connection ([`Connection::note`]), which says in words what to check.

mod client;
mod options;
mod refusal;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret, SecretString};

pub use client::PREFIX;
pub use options::{Mechanism, Options, Protocol};

/// The settings of the connection beside Kafka's addresses. Clones share the last refusal.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The properties without a password.
    properties: Vec<(String, String)>,
    secrets: Vec<(String, SecretString)>,
    /// Read again for each client, so that a new password needs no restart.
    password_file: Option<PathBuf>,
    /// The properties of `KAFKA_CLIENT_…`.
    passed: Vec<(String, SecretString)>,
    refusal: Arc<Mutex<Option<String>>>,
}

/// An error of the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Settings that do not fit together, or a file that cannot be read.
    #[error("{setting} {problem}")]
    Setting {
        /// The environment variable.
        setting: String,
        /// The problem, and what helps.
        problem: String,
    },
    /// A setting that this program cannot use.
    #[error(
        "{setting} needs a program that is built with --features broker/{feature} (OpenSSL's headers are needed: apt install \
         libssl-dev pkg-config, for broker/oidc also libcurl4-openssl-dev); the container images have broker/tls"
    )]
    NotBuilt {
        /// The environment variable and its value.
        setting: String,
        /// The feature that has it.
        feature: &'static str,
    },
}

impl ConnectionError {
    fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Setting { setting: setting.into(), problem: problem.into() }
    }
}

impl Connection {
    /// Checks the settings together with the variables `KAFKA_CLIENT_…` of the environment. `user` logs in where
    /// `KAFKA_SASL_USERNAME` names no other one.
    pub fn new(options: &Options, user: &str) -> Result<Self, ConnectionError> {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::with_variables(options, Some(user), std::env::vars_os().filter_map(text))
    }

    /// Reads and checks the settings from variables, for programs that have no options for them.
    pub fn of_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConnectionError> {
        let variables: Vec<_> = variables.collect();
        Self::with_variables(&Options::of_variables(variables.iter().cloned())?, None, variables.into_iter())
    }

    fn with_variables(
        options: &Options,
        user: Option<&str>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConnectionError> {
        let mut connection = options.check(user)?;
        connection.passed = client::properties(variables)?;
        connection.verify_properties()?;
        Ok(connection)
    }

    /// Returns the properties for a new client, as librdkafka names them. Reads the password's file.
    pub fn properties(&self) -> Vec<(String, String)> {
        let plain = self.properties.iter().cloned();
        let secret =
            |(name, value): &(String, SecretString)| (name.clone(), value.expose_secret().to_owned());
        let from_file = self.password_file.as_ref().and_then(|path| {
            // A file that is being replaced may be missing for a moment: the client tries again.
            let password = std::fs::read_to_string(path).ok()?;
            Some((options::PASSWORD.to_owned(), password.trim().to_owned()))
        });
        let own = plain.chain(self.secrets.iter().map(secret)).chain(from_file);
        own.chain(self.passed.iter().map(secret)).collect()
    }

    /// Returns the properties of `KAFKA_CLIENT_…`, which override those that a client sets itself.
    pub fn passed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.passed.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    /// Notes a refusal of the connection, by Kafka or by the client itself: for the callbacks that receive librdkafka's errors
    /// and log lines. A Kafka where nobody listens is no refusal: a broker that is killed closes its connections first, which
    /// looks like one.
    pub fn note(&self, message: &str) {
        if let Some(text) = refusal::explain(message) {
            *self.last() = Some(text.to_owned());
        } else if refusal::is_unreachable(message) {
            self.clear();
        }
    }

    /// Forgets the refusal, because Kafka answered.
    pub fn clear(&self) {
        *self.last() = None;
    }

    /// Returns why Kafka refuses the connection, and what to check; `None` when it does not.
    pub fn refusal(&self) -> Option<String> {
        self.last().clone()
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets librdkafka check names and values, without connecting. Its message can contain a value, so only the name is shown.
    fn verify_properties(&self) -> Result<(), ConnectionError> {
        for (name, value) in self.properties() {
            let mut config = ClientConfig::new();
            config.set(&name, value);
            if let Err(KafkaError::ClientConfig(..)) = config.create_native_config().map(drop) {
                let variable = self.passed.iter().any(|(passed, _)| *passed == name);
                let setting = if variable { client::variable(&name) } else { name };
                let problem = "is not a property of this librdkafka, or has an invalid value; its CONFIGURATION.md lists them";
                return Err(ConnectionError::new(setting, problem));
            }
        }
        Ok(())
    }
}
