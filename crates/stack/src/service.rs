//! A service and its instances: the binary has the service's name, and environment variables hold all settings.

use crate::acls::{self, Acl};
use crate::daemon::Daemon;
use crate::environment;
use crate::error::{Error, Result};
use crate::helper;
use crate::manual::Manual;
use crate::process::{Launch, instance_name};
use crate::provision::Access;
use crate::ready::Ready;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

const MIGRATION_TIMEOUT: Duration = Duration::from_mins(2);

/// The variables that an instance never inherits: its own, and those that it must not see.
pub const OWN: [&str; 9] = [
    "LISTEN",
    "OPS_LISTEN",
    "INSTANCE",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "MIGRATE_DATABASE_URL",
    "MIGRATE_DATABASE_URL_FILE",
    "POSTGRES_URL",
    "PORT_BASE",
];

/// The common configuration of all instances of one service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Also that of its folder.
    pub name: String,
    pub program: PathBuf,
    pub access: Access,
    pub brokers: String,
    /// Settings that override those in this process's environment.
    pub settings: Vec<(String, String)>,
    /// The settings that the service takes from this process's environment.
    pub manual: Manual,
}

#[derive(Debug, Clone, Copy)]
pub struct Endpoints {
    /// The port for customers and operators.
    pub http: u16,
    /// The port for health and metrics.
    pub ops: u16,
}

impl Endpoints {
    pub fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The settings that make an instance listen on these ports.
    pub fn settings(self) -> [(&'static str, String); 2] {
        [("LISTEN", format!("127.0.0.1:{}", self.http)), ("OPS_LISTEN", format!("127.0.0.1:{}", self.ops))]
    }

    pub fn ops_url(self) -> String {
        format!("http://127.0.0.1:{}", self.ops)
    }
}

impl Service {
    /// Runs `SERVICE migrate`, which creates or updates schema, grants and topics.
    pub async fn migrate(&self, options: &[&str]) -> Result<()> {
        let mut command = self.command();
        command.arg("migrate").args(options).env("MIGRATE_DATABASE_URL", &self.access.migrate_database_url);
        let what = format!("{} migrate", self.name);
        let migration = tokio::time::timeout(MIGRATION_TIMEOUT, helper::run(&what, &mut command));
        migration.await.map_err(|_| Error::Failed(format!("{what} has not ended after two minutes")))?
    }

    /// Runs `SERVICE check`, which fails when the settings are invalid.
    pub async fn check(&self) -> Result<()> {
        helper::run(&format!("{} check", self.name), self.command().arg("check")).await
    }

    /// Runs `SERVICE acls`, and returns the rights that it prints.
    pub async fn rights(&self, options: &[&str]) -> Result<Vec<Acl>> {
        let mut command = self.command();
        command.arg("acls").args(options);
        acls::parse(&helper::output(&format!("{} acls", self.name), &mut command).await?)
    }

    /// Returns a command of the service (`redrive`, `rewind`, …) with its settings; the caller starts it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment());
        command
    }

    /// Returns instance `number` (from 1), with its pid and log files in `run`: `order`, `order-2`, …
    pub fn instance(&self, number: usize, endpoints: Endpoints, run: &Path) -> Daemon {
        // With static membership, an instance keeps its partitions over a restart.
        let static_id = ("INSTANCE".to_owned(), format!("{}-{number}", self.name));
        self.daemon(&instance_name(&self.name, number), endpoints, run, Some(static_id))
    }

    /// Returns an instance without static membership: later instances need not wait until its session times out.
    pub fn temporary_instance(&self, endpoints: Endpoints, run: &Path) -> Daemon {
        self.daemon(&self.name, endpoints, run, None)
    }

    fn daemon(
        &self,
        name: &str,
        endpoints: Endpoints,
        run: &Path,
        static_id: Option<(String, String)>,
    ) -> Daemon {
        let mut environment = self.environment();
        environment.extend(endpoints.settings().map(|(name, value)| (name.to_owned(), value.into())));
        environment.extend(static_id.map(|(name, value)| (name, value.into())));
        let launch = Launch::new(self.program.clone(), Vec::new(), environment);
        let ready = Ready::Http(format!("{}/health/ready", endpoints.ops_url()));
        Daemon::new(name, run, launch, ready)
    }

    /// Returns the environment of every process of the service: its settings from this process's environment,
    /// overridden by `settings`.
    fn environment(&self) -> Vec<(String, OsString)> {
        let is_its_own = |name: &str| self.manual.names(name) && !OWN.contains(&name);
        let inherited =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut variables = environment::basics();
        variables.extend(inherited.filter(|(name, _)| is_its_own(name)));
        variables.extend(self.settings.iter().map(|(name, value)| (name.clone(), value.into())));
        variables.push(("KAFKA_BROKERS".to_owned(), (&self.brokers).into()));
        variables.push(("DATABASE_URL".to_owned(), (&self.access.database_url).into()));
        variables
    }
}

/// Waits until an instance consumes all its topics, at most for `limit`. An error is the last answer.
pub async fn wait_consuming(endpoints: Endpoints, limit: Duration) -> Result<(), String> {
    let question = Ready::Http(format!("{}/health/consuming", endpoints.ops_url()));
    let deadline = std::time::Instant::now() + limit;
    while let Err(answer) = question.ask().await {
        if std::time::Instant::now() > deadline {
            return Err(answer);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}
