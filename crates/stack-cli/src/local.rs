//! The one system of this checkout: its ports, its servers and the settings that `up` received. Stored in
//! `.data/local.json`, so that a later `start` passes the same settings to a service.

use serde::{Deserialize, Serialize};
use stack::manual::Manual;
use stack::ports::Ports;
use stack::process::{instance_name, instance_number};
use stack::secrets::Secrets;
use stack::service::{Endpoints, Service};
use stack::{Daemon, Home, backlog, home, kafka, maven, postgres, provision, running, service};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The error message of a command that needs a running system.
pub(crate) const NOTHING_RUNS: &str =
    "nothing runs here: ./scripts/up starts the system as processes, docker compose up in containers";

/// The service whose pages a browser opens.
pub(crate) const BOARD: &str = "board";

/// The prefixes of the settings of a user at Kafka and of encryption.
const LOGIN: [&str; 3] = ["KAFKA_SECURITY_", "KAFKA_SASL_", "KAFKA_SSL_"];

/// The configuration of the system, which `up` stores for later commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Local {
    /// Not stored: [`read`](Self::read) sets it.
    #[serde(skip)]
    pub(crate) home: Home,
    pub(crate) ports: Ports,
    /// `KAFKA_BROKERS`; when set, there is no private Kafka.
    pub(crate) given_brokers: Option<String>,
    /// `POSTGRES_URL`; when set, there is no private Postgres.
    pub(crate) given_postgres: Option<String>,
    pub(crate) topic_prefix: String,
    /// The number of nodes of the private Kafka; 0 counts as 1.
    #[serde(default)]
    pub(crate) nodes: u16,
    /// Whether this system's own Kafka asks for users and checks their rights.
    #[serde(default)]
    pub(crate) secure: bool,
    /// The settings of the services from the environment of `up`.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Local {
    /// Reads the configuration from the environment.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let home = Home::find()?;
        let given = |name| program::variable(name)?.into_string().ok();
        let mut local = Self {
            ports: Ports::from_env()?,
            given_brokers: given("KAFKA_BROKERS"),
            given_postgres: given("POSTGRES_URL"),
            topic_prefix: given("TOPIC_PREFIX").unwrap_or_default(),
            nodes: 1,
            // The profile `secure` of docker-compose.yml sets the variable; for processes, the option of `up` decides.
            secure: home.is_container() && given("SECURE").is_some_and(|value| value == "true"),
            settings: BTreeMap::new(),
            home,
        };
        // The shell exported the `.data/env` of an earlier run: the variables name our own private servers.
        if let Ok(before) = Self::read(local.home.clone())
            && before.given_postgres.is_none()
            && local.given_postgres == Some(before.postgres_url()?)
        {
            local.given_postgres = None;
            local
                .given_brokers
                .take_if(|brokers| before.given_brokers.is_none() && *brokers == before.brokers());
        }
        Ok(local)
    }

    /// Loads the configuration that the last `up` stored, and lets the clients of this process connect to its Kafka.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let local = Self::read(Home::find()?)?;
        local.connect()?;
        Ok(local)
    }

    /// Reads the configuration that the last `up` stored.
    pub(crate) fn read(home: Home) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(home.data("local.json"));
        let text = text.map_err(|_| anyhow::anyhow!(NOTHING_RUNS))?;
        Ok(Self { home, ..serde_json::from_str(&text)? })
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        Ok(home::write_private(&self.home.data("local.json"), &serde_json::to_string_pretty(self)?)?)
    }

    pub(crate) fn brokers(&self) -> String {
        let own = || {
            let addresses = self.node_ids().map(|id| format!("127.0.0.1:{}", self.ports.kafka(id)));
            addresses.collect::<Vec<_>>().join(",")
        };
        self.given_brokers.clone().unwrap_or_else(own)
    }

    pub(crate) fn node_ids(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.nodes.max(1)
    }

    /// Returns whether Kafka or a node of it, or Postgres, is an external server.
    pub(crate) fn is_given(&self, server: &str) -> bool {
        if server == "postgres" { self.given_postgres.is_some() } else { self.given_brokers.is_some() }
    }

    /// Fails with the command that helps when a private server that a command needs does not run.
    pub(crate) fn require_running(&self, servers: &[&str]) -> anyhow::Result<()> {
        for name in servers {
            let living = running::names(&self.home.run());
            // One node of Kafka is enough for its clients.
            let running =
                self.is_given(name) || living.iter().any(|one| instance_number(one, name).is_some());
            anyhow::ensure!(running || !living.is_empty(), NOTHING_RUNS);
            anyhow::ensure!(
                running,
                "{name} is not running: ./scripts/start {name}, or ./scripts/up for everything"
            );
        }
        Ok(())
    }

    pub(crate) fn secrets(&self) -> anyhow::Result<Secrets> {
        Ok(Secrets::open(&self.home.data("secrets.json"))?)
    }

    pub(crate) fn postgres_url(&self) -> anyhow::Result<String> {
        let Some(given) = &self.given_postgres else {
            return Ok(postgres::admin_url(self.ports.postgres(), &self.secrets()?.get("postgres")?));
        };
        Ok(given.clone())
    }

    /// The prefix of the names of databases and roles. Databases belong to one log: another topic prefix, or an
    /// external Kafka with the private Postgres, uses other databases.
    pub(crate) fn database_prefix(&self) -> String {
        let words = self.topic_prefix.to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let given = (self.given_brokers.is_some() && self.given_postgres.is_none()).then_some("given");
        ["notifyme"].into_iter().chain(words).chain(given).collect::<Vec<_>>().join("_")
    }

    /// The file that marks that these databases have the sample catalogue.
    pub(crate) fn seed_marker(&self) -> PathBuf {
        let databases = format!("{:?} {}", self.given_postgres, self.database_prefix());
        self.home.data("seeded").join(home::stable_hash(databases))
    }

    /// Returns the backlog of a service, one description per part; empty when the service is idle.
    pub(crate) async fn waiting(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let url = self.service(service)?.access.migrate_database_url;
        Ok(backlog::look(service, &url, &self.brokers(), &self.topic_prefix).await?.waiting)
    }

    /// Returns a service with its database and its settings.
    pub(crate) fn service(&self, name: &str) -> anyhow::Result<Service> {
        let url = self.postgres_url()?;
        let access = provision::access(&url, &self.database_prefix(), name, &mut self.secrets()?)?;
        let manual = Manual::of(&self.home.binary(name))?;
        let mut settings = self.settings(name)?;
        let login = self.login(name)?;
        if !login.is_empty() {
            // The environment of this process may have the file of another password.
            settings.push(("KAFKA_SASL_PASSWORD_FILE".to_owned(), String::new()));
        }
        settings.extend(login);
        settings.retain(|(name, _)| manual.names(name));
        let program = self.home.binary(name);
        Ok(Service { name: name.to_owned(), program, access, brokers: self.brokers(), settings, manual })
    }

    /// Returns the settings that a service gets besides the caller's environment: those of `up`, then the defaults.
    fn settings(&self, service: &str) -> anyhow::Result<Vec<(String, String)>> {
        let public_url = format!("http://localhost:{}", self.endpoints(service)?.http);
        let board = self.endpoints(BOARD)?.http;
        let mut secrets = self.secrets()?;
        let usual = [
            ("ADMIN_TOKEN", secrets.get("ADMIN_TOKEN")?),
            ("TOKEN_KEY", secrets.get("TOKEN_KEY")?),
            ("PUBLIC_URL", public_url),
            ("COMMAND_PREFIX", "./scripts/run".to_owned()),
            ("LOG_FORMAT", "pretty".to_owned()),
            ("LOG_MESSAGES", "true".to_owned()),
            ("DEMO_INBOX", "true".to_owned()),
            ("SHOP_URL", format!("http://localhost:{board}/")),
            ("CORS_ORIGINS", format!("http://localhost:{board},http://127.0.0.1:{board}")),
            ("SERVICE_URLS", self.addresses(|endpoints| endpoints.http)?),
            ("SERVICE_OPS_URLS", self.addresses(|endpoints| endpoints.ops)?),
            ("CONTROL_URL", format!("http://127.0.0.1:{}", self.ports.control())),
            ("CONTROL_TOKEN", secrets.get("CONTROL_TOKEN")?),
        ];
        let mut settings = self.settings.clone();
        for (name, value) in usual {
            let by_file = format!("{name}_FILE");
            if !settings.contains_key(&by_file) && !is_set(&by_file) {
                settings.entry(name.to_owned()).or_insert(value);
            }
        }
        settings.retain(|name, _| !is_set(name));
        settings.insert("TOPIC_PREFIX".to_owned(), self.topic_prefix.clone());
        Ok(settings.into_iter().collect())
    }

    /// Returns the address of each service but the board for a browser, as `order=http://localhost:8080,…`.
    fn addresses(&self, port: impl Fn(Endpoints) -> u16) -> anyhow::Result<String> {
        let names = self.home.services()?.into_iter().filter(|name| name != BOARD);
        let address = |name: String| {
            let port = port(self.endpoints(&name)?);
            Ok(format!("{name}=http://localhost:{port}"))
        };
        Ok(names.map(address).collect::<anyhow::Result<Vec<_>>>()?.join(","))
    }

    /// Returns the ports of the first instance of a service.
    pub(crate) fn endpoints(&self, service: &str) -> anyhow::Result<Endpoints> {
        let place = self.home.services()?.iter().position(|name| name == service);
        let place = u16::try_from(place.ok_or_else(|| anyhow::anyhow!("there is no service `{service}`"))?)?;
        Ok(Endpoints { http: self.ports.service(place), ops: self.ports.ops(place) })
    }

    pub(crate) fn first_instance(&self, name: &str) -> anyhow::Result<Daemon> {
        Ok(self.service(name)?.instance(1, self.endpoints(name)?, &self.home.run()))
    }

    /// Returns the variables of this process's environment that the manual of at least one service names. A private Kafka has
    /// its own users: the shell may still have those of another one.
    pub(crate) fn settings_in_environment(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let services = self.home.services()?;
        let manuals = services.iter().map(|name| Manual::of(&self.home.binary(name)));
        let manuals = manuals.collect::<stack::Result<Vec<_>>>()?;
        let is_setting = |name: &str| manuals.iter().any(|manual| manual.names(name));
        let is_login = |name: &str| LOGIN.iter().any(|family| name.starts_with(family));
        let own = |name: &str| {
            service::OWN.contains(&name)
                || ["KAFKA_BROKERS", "TOPIC_PREFIX"].contains(&name)
                || self.given_brokers.is_none() && is_login(name)
        };
        Ok(std::env::vars().filter(|(name, _)| is_set(name) && is_setting(name) && !own(name)).collect())
    }

    /// Returns a secret of the services: the one that `up` received, else a generated one.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<String> {
        if let Some(file) = self.settings.get(&format!("{name}_FILE")) {
            return Ok(std::fs::read_to_string(file)?.trim().to_owned());
        }
        let given = self.settings.get(name).cloned();
        given.map_or_else(|| Ok(self.secrets()?.get(name)?), Ok)
    }

    pub(crate) fn kafka_node(&self, id: u16) -> anyhow::Result<kafka::Settings> {
        Ok(kafka::Settings {
            id: usize::from(id),
            port: self.ports.kafka(id),
            advertised_port: self.ports.kafka(id),
            controller_port: self.ports.controller(id),
            controllers: self.node_ids().map(|id| self.ports.controller(id)).collect(),
            cluster_id: self.secrets()?.get("kafka cluster")?,
            data: self.home.data(&instance_name("kafka", usize::from(id))),
            run: self.home.run(),
            guard: self.guard()?,
        })
    }

    pub(crate) async fn postgres(&self, installed: &maven::Installed) -> anyhow::Result<Daemon> {
        let settings = postgres::Settings {
            port: self.ports.postgres(),
            data: self.home.reachable(&self.home.data("postgres"))?,
            run: &self.home.run(),
            password: &self.secrets()?.get("postgres")?,
            durability: postgres::Durability::PowerCut,
            environment: &[],
        };
        Ok(postgres::prepare(installed, &settings).await?)
    }
}

fn is_set(name: &str) -> bool {
    program::variable(name).is_some()
}
