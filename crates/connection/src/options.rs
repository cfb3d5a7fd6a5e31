//! The settings of the connection, each an environment variable or an option of a service.

use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use crate::{Connection, ConnectionError};

pub(crate) const PASSWORD: &str = "sasl.password";

/// The settings of the connection to Kafka. Names and values are those of Kafka's own clients.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[command(next_help_heading = "Connection to Kafka")]
pub struct Options {
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL [default: PLAINTEXT]
    #[arg(long, env, value_enum, ignore_case = true, hide_possible_values = true, value_name = "PROTOCOL")]
    pub kafka_security_protocol: Option<Protocol>,

    /// SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, or OAUTHBEARER (with KAFKA_CLIENT_SASL_OAUTHBEARER_METHOD=oidc and others)
    #[arg(long, env, value_enum, ignore_case = true, hide_possible_values = true, value_name = "MECHANISM")]
    pub kafka_sasl_mechanism: Option<Mechanism>,

    /// User at Kafka [default: the service's name]; `SERVICE acls` prints the rights that it needs
    #[arg(long, env, value_name = "NAME")]
    pub kafka_sasl_username: Option<String>,

    /// Password of that user. A file is read again for each connection, so a new password needs no restart
    #[arg(long, env, hide_env_values = true, value_name = "PASSWORD")]
    pub kafka_sasl_password: Option<SecretString>,

    /// The password's file; `chassis` lists it with the password.
    #[arg(long, env, hide = true)]
    pub kafka_sasl_password_file: Option<PathBuf>,

    /// PEM file of the authorities that sign the brokers' certificates [default: the system's]
    #[arg(long, env, value_name = "FILE")]
    pub kafka_ssl_ca_location: Option<PathBuf>,

    /// PEM file of the service's own certificate, for brokers that ask for it
    #[arg(long, env, requires = "kafka_ssl_key_location", value_name = "FILE")]
    pub kafka_ssl_certificate_location: Option<PathBuf>,

    /// PEM file of that certificate's private key
    #[arg(long, env, requires = "kafka_ssl_certificate_location", value_name = "FILE")]
    pub kafka_ssl_key_location: Option<PathBuf>,

    /// Password of the private key. Any other property of librdkafka is KAFKA_CLIENT_ and its name in capitals with '_' for '.':
    /// KAFKA_CLIENT_SOCKET_KEEPALIVE_ENABLE=true
    #[arg(long, env, hide_env_values = true, value_name = "PASSWORD")]
    pub kafka_ssl_key_password: Option<SecretString>,
}

/// How client and broker speak to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Without encryption, without a user.
    #[default]
    #[value(name = "PLAINTEXT")]
    Plaintext,
    /// TLS.
    #[value(name = "SSL")]
    Ssl,
    /// A user, without encryption.
    #[value(name = "SASL_PLAINTEXT")]
    SaslPlaintext,
    /// TLS and a user.
    #[value(name = "SASL_SSL")]
    SaslSsl,
}

/// How the user proves to be that user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mechanism {
    /// The password itself is sent: use it with TLS only.
    #[value(name = "PLAIN")]
    Plain,
    /// Salted challenge and response, with SHA-256.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token of an identity provider.
    #[value(name = "OAUTHBEARER")]
    OauthBearer,
}

impl Options {
    /// Reads these variables, for a program without these options. An empty variable counts as unset.
    pub(crate) fn of_variables(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConnectionError> {
        let command = Self::augment_args(Command::new("kafka")).no_binary_name(true);
        let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
        let option = |name: &str| name.to_lowercase().replace('_', "-");
        let options: Vec<String> =
            command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
        let given = variables.filter(|(name, value)| !value.is_empty() && options.contains(&option(name)));
        let given = given.map(|(name, value)| format!("--{}={value}", option(&name)));
        let read = command.try_get_matches_from(given).and_then(|found| Self::from_arg_matches(&found));
        read.map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            ConnectionError::new("KAFKA_…:", first.trim_start_matches("error: "))
        })
    }

    /// Checks that the settings fit together, and that the files can be read. `default_user` logs in when no user is set.
    pub(crate) fn check(&self, default_user: Option<&str>) -> Result<Connection, ConnectionError> {
        let protocol = self.kafka_security_protocol.unwrap_or_default();
        let mut connection = Connection::default();
        let mut add =
            |name: &str, value: &str| connection.properties.push((name.to_owned(), value.to_owned()));
        if protocol != Protocol::Plaintext {
            add("security.protocol", &name_of(&protocol));
        }
        self.add_tls(protocol, &mut add)?;
        if let Some(mechanism) = self.mechanism(protocol)? {
            add("sasl.mechanism", &name_of(&mechanism));
            self.add_user(mechanism, default_user, &mut connection)?;
        }
        if let Some(password) = &self.kafka_ssl_key_password {
            connection.secrets.push(("ssl.key.password".to_owned(), password.clone()));
        }
        Ok(connection)
    }

    fn add_tls(&self, protocol: Protocol, add: &mut impl FnMut(&str, &str)) -> Result<(), ConnectionError> {
        let is_tls = matches!(protocol, Protocol::Ssl | Protocol::SaslSsl);
        if is_tls {
            need_tls(&format!("KAFKA_SECURITY_PROTOCOL={}", name_of(&protocol)))?;
        }
        for (setting, property, path) in [
            ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location", &self.kafka_ssl_ca_location),
            (
                "KAFKA_SSL_CERTIFICATE_LOCATION",
                "ssl.certificate.location",
                &self.kafka_ssl_certificate_location,
            ),
            ("KAFKA_SSL_KEY_LOCATION", "ssl.key.location", &self.kafka_ssl_key_location),
        ] {
            let Some(path) = path else { continue };
            if !is_tls {
                let problem = "is set, but KAFKA_SECURITY_PROTOCOL is neither SSL nor SASL_SSL: the connection is not encrypted";
                return Err(ConnectionError::new(setting, problem));
            }
            readable(setting, path)?;
            add(property, &path.to_string_lossy());
        }
        Ok(())
    }

    /// Returns the mechanism of a protocol with SASL.
    fn mechanism(&self, protocol: Protocol) -> Result<Option<Mechanism>, ConnectionError> {
        let is_sasl = matches!(protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        let given = [
            ("KAFKA_SASL_MECHANISM", self.kafka_sasl_mechanism.is_some()),
            ("KAFKA_SASL_USERNAME", self.kafka_sasl_username.is_some()),
            (
                "KAFKA_SASL_PASSWORD",
                self.kafka_sasl_password.is_some() || self.kafka_sasl_password_file.is_some(),
            ),
        ];
        let given = given.into_iter().find(|(_, is_set)| *is_set);
        match (is_sasl, self.kafka_sasl_mechanism, given) {
            (false, _, Some((setting, _))) => Err(ConnectionError::new(
                setting,
                "is set, but KAFKA_SECURITY_PROTOCOL is neither SASL_SSL nor SASL_PLAINTEXT: no user would log in",
            )),
            (false, _, None) => Ok(None),
            (true, None, _) => Err(ConnectionError::new(
                "KAFKA_SASL_MECHANISM",
                "is not set: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER, as the cluster's administrator says",
            )),
            (true, Some(mechanism), _) => {
                let setting = format!("KAFKA_SASL_MECHANISM={}", name_of(&mechanism));
                match mechanism {
                    Mechanism::Plain => {}
                    Mechanism::ScramSha256 | Mechanism::ScramSha512 => need_tls(&setting)?,
                    Mechanism::OauthBearer => need("oidc", cfg!(feature = "oidc"), &setting)?,
                }
                Ok(Some(mechanism))
            }
        }
    }

    fn add_user(
        &self,
        mechanism: Mechanism,
        default_user: Option<&str>,
        connection: &mut Connection,
    ) -> Result<(), ConnectionError> {
        if mechanism == Mechanism::OauthBearer {
            return Ok(());
        }
        let missing =
            |setting| ConnectionError::new(setting, "is not set, and KAFKA_SASL_MECHANISM needs it");
        let username = self.kafka_sasl_username.as_deref().or(default_user);
        let username = username.ok_or_else(|| missing("KAFKA_SASL_USERNAME"))?;
        connection.properties.push(("sasl.username".to_owned(), username.to_owned()));
        match (&self.kafka_sasl_password_file, &self.kafka_sasl_password) {
            (Some(path), _) => {
                if readable("KAFKA_SASL_PASSWORD_FILE", path)?.trim().is_empty() {
                    return Err(ConnectionError::new("KAFKA_SASL_PASSWORD_FILE", "names an empty file"));
                }
                connection.password_file = Some(path.clone());
            }
            (None, Some(password)) if !password.expose_secret().is_empty() => {
                connection.secrets.push((PASSWORD.to_owned(), password.clone()));
            }
            (None, _) => return Err(missing("KAFKA_SASL_PASSWORD")),
        }
        Ok(())
    }
}

fn need_tls(setting: &str) -> Result<(), ConnectionError> {
    need("tls", cfg!(feature = "tls"), setting)
}

fn need(feature: &'static str, is_built: bool, setting: &str) -> Result<(), ConnectionError> {
    let refused = || ConnectionError::NotBuilt { setting: setting.to_owned(), feature };
    if is_built { Ok(()) } else { Err(refused()) }
}

fn readable(setting: &str, path: &Path) -> Result<String, ConnectionError> {
    std::fs::read_to_string(path).map_err(|cause| {
        ConnectionError::new(setting, format!("cannot be read: {}: {cause}", path.display()))
    })
}

fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
