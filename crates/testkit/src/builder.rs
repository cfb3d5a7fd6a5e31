//! The builder of a test's system.

use crate::system::{Member, System};
use crate::users;
use stack::manual::Manual;
use stack::secrets::{Secrets, hex};
use stack::service::{self, Endpoints, Service};
use stack::{Home, Result, Scratch, Servers, helper, login_settings, ports, provision};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The service that a test's system has only on demand.
const BOARD: &str = "board";
const JOINING: Duration = Duration::from_secs(30);

/// The options of a test's system. The default: one instance of each service, default settings, shared servers.
#[derive(Debug, Default)]
pub struct Builder {
    servers: Option<Arc<Servers>>,
    private: bool,
    instances: HashMap<String, usize>,
    instances_of_all: Option<usize>,
    settings: Vec<(Option<String>, String, String)>,
    not_started: Vec<String>,
    has_board: bool,
    is_built: bool,
}

impl System {
    /// Starts one instance of each service on the shared servers; waits until each is ready and consumes its topics.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Uses these servers instead of the shared ones. On those of [`Servers::guarded`], each service connects as a user of its
    /// own with the rights that `SERVICE acls` prints; the user [`stack::Guard::MIGRATOR`] migrates.
    #[must_use]
    pub fn servers(mut self, servers: Arc<Servers>) -> Self {
        self.servers = Some(servers);
        self
    }

    /// Starts a private Kafka and Postgres for a test that breaks them.
    #[must_use]
    pub fn private_servers(mut self) -> Self {
        self.private = true;
        self
    }

    #[must_use]
    pub fn instances(mut self, service: &str, count: usize) -> Self {
        self.instances.insert(service.to_owned(), count);
        self
    }

    #[must_use]
    pub fn instances_of_all(mut self, count: usize) -> Self {
        self.instances_of_all = Some(count);
        self
    }

    #[must_use]
    pub fn env(mut self, service: &str, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((Some(service.to_owned()), name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn env_all(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((None, name.to_owned(), value.into()));
        self
    }

    /// Migrates but does not start this service: the test starts it later.
    #[must_use]
    pub fn not_started(mut self, service: &str) -> Self {
        self.not_started.push(service.to_owned());
        self
    }

    /// Adds the board, which only reads: tests that do not look at it need not wait for it.
    #[must_use]
    pub fn with_board(mut self) -> Self {
        self.has_board = true;
        self
    }

    /// Uses the programs beside the running one, without building them: those of a release build, for a measurement.
    #[must_use]
    pub fn built(mut self) -> Self {
        self.is_built = true;
        self
    }

    /// Builds, provisions, migrates and starts the services; waits until each is ready and consumes its topics.
    pub async fn start(self) -> Result<System> {
        let home = Home::find()?;
        if !self.is_built {
            build(&home).await?;
        }
        let servers = match (self.servers.clone(), self.private) {
            (Some(servers), _) => servers,
            (None, true) => Servers::private().await?,
            (None, false) => Servers::shared().await?,
        };
        let mark = hex(4)?;
        let mut secrets = Secrets::default();
        let mut system = System {
            database_prefix: format!("t_{mark}"),
            topic_prefix: format!("t-{mark}."),
            admin_token: secrets.get("ADMIN_TOKEN")?,
            members: Vec::new(),
            // The queues are checked only if all services have started.
            leave_queues: AtomicBool::new(true),
            scratch: Scratch::new(&home)?,
            home,
            servers,
        };
        self.provision(&mut system, &mut secrets).await?;
        if system.has_users() {
            users::grant(&system).await?;
        }
        migrate(&system).await?;
        self.launch(&system).await?;
        system.leave_queues = AtomicBool::new(false);
        Ok(system)
    }

    async fn provision(&self, system: &mut System, secrets: &mut Secrets) -> Result<()> {
        let url = system.servers.postgres_url().to_owned();
        let mut admin = provision::connect(&url).await?;
        let token_key = secrets.get("TOKEN_KEY")?;
        let names = system.home.services()?.into_iter().filter(|name| self.has_board || name != BOARD);
        for name in names {
            provision::provision(&mut admin, &system.database_prefix, &name, secrets).await?;
            let access = provision::access(&url, &system.database_prefix, &name, secrets)?;
            let manual = Manual::of(&system.home.binary(&name))?;
            let settings = self.settings_of(&name, &manual, system, &token_key);
            let brokers = system.servers.guarded_brokers().unwrap_or_else(|| system.brokers().to_owned());
            let program = system.home.binary(&name);
            let service = Service { name: name.clone(), program, access, brokers, settings, manual };
            let mut instances = Vec::new();
            let count = self.instances.get(&name).copied().or(self.instances_of_all).unwrap_or(1);
            for number in 1..=count {
                let endpoints = Endpoints { http: ports::free()?, ops: ports::free()? };
                instances.push((endpoints, service.instance(number, endpoints, system.scratch.dir())));
            }
            system.members.push(Member { service, instances });
        }
        Ok(())
    }

    fn settings_of(
        &self,
        service: &str,
        manual: &Manual,
        system: &System,
        token_key: &str,
    ) -> Vec<(String, String)> {
        let usual = [
            ("TOPIC_PREFIX", system.topic_prefix()),
            ("TOPIC_PARTITIONS", "4"),
            ("ADMIN_TOKEN", system.admin_token()),
            ("TOKEN_KEY", token_key),
            ("LOG_FORMAT", "pretty"),
            ("LOG_MESSAGES", "true"),
        ];
        let usual = usual.into_iter().filter(|(name, _)| manual.names(name));
        let mut settings: HashMap<String, String> =
            usual.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if system.has_users() {
            settings.extend(login_settings(service, users::password(service)));
        }
        let own =
            self.settings.iter().filter(|(target, ..)| target.as_deref().is_none_or(|name| name == service));
        settings.extend(own.map(|(_, name, value)| (name.clone(), value.clone())));
        settings.into_iter().collect()
    }

    async fn launch(&self, system: &System) -> Result<()> {
        let started = |member: &&Member| !self.not_started.contains(&member.service.name);
        let instances = || system.members.iter().filter(started).flat_map(|member| &member.instances);
        instances().try_for_each(|(_, daemon)| daemon.spawn())?;
        for (_, daemon) in instances() {
            daemon.wait_ready().await?;
        }
        for (endpoints, daemon) in instances() {
            let joined = service::wait_consuming(*endpoints, JOINING).await;
            joined.map_err(|last| daemon.timed_out(JOINING, &last))?;
        }
        Ok(())
    }
}

async fn migrate(system: &System) -> Result<()> {
    let migrations = system.members.iter().map(|member| async move {
        let mut service = member.service.clone();
        if system.has_users() {
            users::become_migrator(&mut service.settings);
        }
        service.migrate(&[]).await
    });
    futures::future::try_join_all(migrations).await.map(|_| ())
}

/// Builds the services of the checkout, once per process.
async fn build(home: &Home) -> Result<()> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    let build = || async {
        let mut cargo = Command::new("cargo");
        // With the tests, as `cargo test` builds.
        cargo.args(["build", "--quiet", "--workspace", "--all-targets"]).current_dir(home.root());
        // The package variables that Cargo sets for a test would make build scripts that read them (ring's) run again.
        let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars().filter(|(name, _)| of_package(name)) {
            cargo.env_remove(name);
        }
        helper::run("cargo build", &mut cargo).await
    };
    BUILT.get_or_try_init(build).await.copied()
}
