//! A private Kafka that asks its clients for a user and a password, and checks their rights (ACLs).

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

/// How clients log in at the second listener. The default: with a name and a password (PLAIN), without TLS.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// Whether they log in with SCRAM-SHA-512 over TLS.
    pub is_scram: bool,
    /// Properties of the listener `CLIENT`, in addition to those of PLAIN.
    pub properties: String,
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

impl Guard {
    pub const ADMIN: &'static str = "admin";
    /// The user that migrates all services.
    pub const MIGRATOR: &'static str = "migrator";

    /// Returns the options of Kafka's `StorageTool` that create the users of SCRAM.
    pub(crate) fn format_options(&self) -> Vec<String> {
        if !self.login.is_scram {
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
    pub(crate) fn properties(&self, port: u16, advertised_port: u16, controller_port: u16) -> String {
        let (guarded, broker, more, anonymous) = match self.port {
            Some(extra) => ("client", "PLAINTEXT", format!(",CLIENT://127.0.0.1:{extra}"), ";User:ANONYMOUS"),
            None => ("broker", "SASL_PLAINTEXT", String::new(), ""),
        };
        let client = if self.login.is_scram { "SASL_SSL" } else { "SASL_PLAINTEXT" };
        let listeners =
            |port| format!("BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more}");
        let (admin, users) = (self.admin_options(), self.user_options());
        format!(
            "listener.security.protocol.map=BROKER:{broker},CONTROLLER:SASL_PLAINTEXT,CLIENT:{client}\n\
             listeners={}\n\
             advertised.listeners={}\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:{admin_name}{anonymous}\n\
             sasl.enabled.mechanisms=PLAIN\n\
             sasl.mechanism.inter.broker.protocol=PLAIN\n\
             sasl.mechanism.controller.protocol=PLAIN\n\
             listener.name.controller.plain.sasl.jaas.config={PLAIN} {admin};\n\
             listener.name.{guarded}.plain.sasl.jaas.config={PLAIN} {admin}{users};\n\
             {}",
            listeners(port),
            listeners(advertised_port),
            self.login.properties,
            admin_name = Self::ADMIN,
        )
    }
}
