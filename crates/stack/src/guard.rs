//! A private Kafka that asks its clients for a user and a password, and checks their rights (ACLs).

use crate::error::{Error, Result};
use crate::{environment, helper, java};
use std::path::{Path, PathBuf};
use tokio::process::Command;

#[derive(Debug, Clone)]
pub struct Guard {
    /// The password of the user [`ADMIN`](Self::ADMIN), who may do everything.
    pub admin_password: String,
    /// The other users, each with a password. They may do nothing until somebody grants them rights.
    pub users: Vec<(String, String)>,
    /// The port of a second listener for these users; then the first one asks for no user and allows everything, for a test's
    /// own tools. `None`: every client needs a user.
    pub port: Option<u16>,
    /// How clients log in at the second listener.
    pub login: Login,
}

#[derive(Debug, Clone, Default)]
pub enum Login {
    /// With a name and a password (PLAIN), without TLS.
    #[default]
    Password,
    Scram(Certificate),
    /// With a token (OAUTHBEARER), without TLS. Kafka accepts tokens without a signature: for a test of the clients.
    Token,
}

#[derive(Debug, Clone)]
pub struct Certificate {
    /// Key and certificate (PKCS #12), with the password [`STORE_PASSWORD`].
    keystore: PathBuf,
    /// The authority's certificate (PEM), for clients.
    pub authority: PathBuf,
}

/// Returns the settings with which a client logs in as this user (PLAIN, without TLS).
pub fn login_settings(user: &str, password: String) -> [(String, String); 4] {
    [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT".to_owned()),
        ("KAFKA_SASL_MECHANISM", "PLAIN".to_owned()),
        ("KAFKA_SASL_USERNAME", user.to_owned()),
        ("KAFKA_SASL_PASSWORD", password),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The module that checks names and passwords in the clear, with its flag.
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/// The key store lies in a folder that only its owner may read, but Java wants a password.
const STORE_PASSWORD: &str = "changeit";

impl Certificate {
    /// Creates an authority and a certificate with Java's keytool. An expired certificate ended yesterday.
    pub async fn create(folder: &Path, is_expired: bool) -> Result<Self> {
        let (keystore, authority) = (folder.join("kafka.p12"), folder.join("ca.pem"));
        let store = keystore.to_string_lossy().into_owned();
        let pem = authority.to_string_lossy().into_owned();
        let key = ["-genkeypair", "-keyalg", "RSA", "-alias"];
        let validity: &[&str] =
            if is_expired { &["-startdate", "-9d", "-validity", "8"] } else { &["-validity", "30"] };
        let authority_options = ["ca", "-dname", "CN=ca", "-ext", "bc:c=ca:true", "-validity", "30"];
        let broker_options =
            ["kafka", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1,dns:localhost", "-signer", "ca"];
        let steps: [Vec<&str>; 4] = [
            [&key[..], &authority_options].concat(),
            [&key[..], &broker_options, validity].concat(),
            vec!["-exportcert", "-rfc", "-alias", "ca", "-file", &pem],
            // Kafka would present the first key of the store.
            vec!["-delete", "-alias", "ca"],
        ];
        let tool = java::find()?;
        let tool = tool.parent().map_or_else(|| PathBuf::from("keytool"), |folder| folder.join("keytool"));
        for step in steps {
            let mut command = Command::new(&tool);
            command.env_clear().envs(environment::kafka()).args(step);
            command.args(["-keystore", &store, "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
            helper::run("keytool", &mut command).await?;
        }
        Ok(Self { keystore, authority })
    }

    fn properties(&self) -> Result<String> {
        let keystore = self.keystore.to_str();
        let keystore = keystore.ok_or_else(|| Error::Failed("a path is not valid Unicode".to_owned()))?;
        Ok(format!(
            "listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.client.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.client.ssl.keystore.type=PKCS12\n\
             listener.name.client.ssl.keystore.location={keystore}\n\
             listener.name.client.ssl.keystore.password={STORE_PASSWORD}\n"
        ))
    }
}

/// The properties of a listener that accepts tokens without a signature, as Kafka does by default.
const TOKENS: &str = "listener.name.client.sasl.enabled.mechanisms=OAUTHBEARER\n\
     listener.name.client.oauthbearer.sasl.jaas.config=\
     org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"none\";\n";

impl Guard {
    pub const ADMIN: &'static str = "admin";
    /// The user that migrates all services.
    pub const MIGRATOR: &'static str = "migrator";

    /// Returns the options of Kafka's `StorageTool` that create the users of SCRAM.
    pub(crate) fn format_options(&self) -> Vec<String> {
        if !matches!(self.login, Login::Scram(_)) {
            return Vec::new();
        }
        let user = |(name, password): &(String, String)| {
            ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={name},password={password}]")]
        };
        self.users.iter().flat_map(user).collect()
    }

    /// Returns the users in the format of JAAS, for a Kafka whose listeners `BROKER` and `CONTROLLER` have the mechanism PLAIN.
    pub fn jaas(&self) -> String {
        format!(
            "broker.KafkaServer {{\n  {PLAIN} {admin}{users};\n}};\ncontroller.KafkaServer {{\n  {PLAIN} {admin};\n}};\n",
            admin = self.admin_options(),
            users = self.user_options(),
        )
    }

    /// Returns the options of PLAIN's module for the administrator. The nodes log in to each other as this user, too.
    fn admin_options(&self) -> String {
        format!("username=\"{0}\" password=\"{1}\" user_{0}=\"{1}\"", Self::ADMIN, self.admin_password)
    }

    fn user_options(&self) -> String {
        let option = |(name, password): &(String, String)| format!(" user_{name}=\"{password}\"");
        self.users.iter().map(option).collect()
    }

    /// Returns the properties of Kafka that override those of an open one. Clients that need no user connect to the advertised
    /// port, which may be that of a proxy.
    pub(crate) fn properties(&self, port: u16, advertised_port: u16, controller_port: u16) -> Result<String> {
        let (guarded, broker, more, anonymous) = match self.port {
            Some(extra) => ("client", "PLAINTEXT", format!(",CLIENT://127.0.0.1:{extra}"), ";User:ANONYMOUS"),
            None => ("broker", "SASL_PLAINTEXT", String::new(), ""),
        };
        let client = if matches!(self.login, Login::Scram(_)) { "SASL_SSL" } else { "SASL_PLAINTEXT" };
        let listeners =
            |port| format!("BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more}");
        let (admin, users) = (self.admin_options(), self.user_options());
        let mut text = format!(
            "listener.security.protocol.map=BROKER:{broker},CONTROLLER:SASL_PLAINTEXT,CLIENT:{client}\n\
             listeners={}\n\
             advertised.listeners={}\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:{admin_name}{anonymous}\n\
             sasl.enabled.mechanisms=PLAIN\n\
             sasl.mechanism.inter.broker.protocol=PLAIN\n\
             sasl.mechanism.controller.protocol=PLAIN\n\
             listener.name.controller.plain.sasl.jaas.config={PLAIN} {admin};\n\
             listener.name.{guarded}.plain.sasl.jaas.config={PLAIN} {admin}{users};\n",
            listeners(port),
            listeners(advertised_port),
            admin_name = Self::ADMIN,
        );
        match &self.login {
            Login::Password => {}
            Login::Scram(certificate) => text.push_str(&certificate.properties()?),
            Login::Token => text.push_str(TOKENS),
        }
        Ok(text)
    }
}
