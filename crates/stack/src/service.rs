//! One instance of a service: a binary found by the service's name, told everything by environment variables.

use crate::daemon::Daemon;
use crate::environment;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::manual::Manual;
use crate::process::Launch;
use crate::program;
use crate::provision::Access;
use crate::ready::Ready;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A migration that takes longer waits for something that does not come.
const MIGRATION_PATIENCE: Duration = Duration::from_mins(2);

/// What each instance must have for itself, or must not see: never handed down from the caller's environment.
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

/// What all instances of one service have in common.
#[derive(Debug, Clone)]
pub struct Service {
    /// The folder's and the binary's name.
    pub name: String,
    /// Its database.
    pub access: Access,
    /// Kafka's bootstrap servers.
    pub brokers: String,
    /// Its settings, which win over those in this process's environment.
    pub settings: Vec<(String, String)>,
    /// Which settings it takes from this process's environment.
    pub manual: Manual,
}

/// Where one instance listens.
#[derive(Debug, Clone, Copy)]
pub struct Doors {
    /// Customers' and operators' requests.
    pub http: u16,
    /// Health and metrics.
    pub ops: u16,
}

impl Doors {
    /// The address of its HTTP door.
    pub fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The settings that make an instance listen there.
    pub fn settings(self) -> [(&'static str, String); 2] {
        [("LISTEN", format!("127.0.0.1:{}", self.http)), ("OPS_LISTEN", format!("127.0.0.1:{}", self.ops))]
    }

    /// The address of its operators' door.
    pub fn ops_url(self) -> String {
        format!("http://127.0.0.1:{}", self.ops)
    }
}

impl Service {
    /// `SERVICE migrate`: schema, rights and topics.
    pub async fn migrate(&self, home: &Home) -> Result<()> {
        let mut command = self.command(home);
        command.arg("migrate").env("MIGRATE_DATABASE_URL", &self.access.migrate_database_url);
        let what = format!("{} migrate", self.name);
        let migration = tokio::time::timeout(MIGRATION_PATIENCE, program::run(&what, &mut command));
        migration.await.map_err(|_| Error::Machine(format!("{what} has not ended after two minutes")))?
    }

    /// `SERVICE check`: whether it would start with these settings.
    pub async fn check(&self, home: &Home) -> Result<()> {
        program::run(&format!("{} check", self.name), self.command(home).arg("check")).await
    }

    /// A command of it (`redrive`, `rewind`, …) with its settings; not started yet.
    pub fn command(&self, home: &Home) -> Command {
        let mut command = Command::new(home.binary(&self.name));
        command.env_clear().envs(self.environment());
        command
    }

    /// Instance `number` (from 1), with its pid and log files in `run`: `order`, `order-2`, …
    pub fn instance(&self, home: &Home, number: usize, doors: Doors, run: &Path) -> Daemon {
        // Keeps its partitions over a restart (static membership).
        let place = ("INSTANCE".to_owned(), format!("{}-{number}", self.name));
        self.daemon(home, &instance_name(&self.name, number), doors, run, Some(place))
    }

    /// An instance that keeps no place in its group: whoever comes after it does not wait for it.
    pub fn passing_instance(&self, home: &Home, doors: Doors, run: &Path) -> Daemon {
        self.daemon(home, &self.name, doors, run, None)
    }

    fn daemon(
        &self,
        home: &Home,
        name: &str,
        doors: Doors,
        run: &Path,
        place: Option<(String, String)>,
    ) -> Daemon {
        let mut environment = self.environment();
        environment.extend(doors.settings().map(|(name, value)| (name.to_owned(), value.into())));
        environment.extend(place.map(|(name, value)| (name, value.into())));
        let launch = Launch {
            program: home.binary(&self.name),
            arguments: Vec::new(),
            environment,
            folder: None,
            user: None,
        };
        let ready = Ready::Http(format!("{}/health/ready", doors.ops_url()));
        Daemon::new(name, run, launch, ready)
    }

    /// What every process of it is given: the settings that are in this process's environment, then its own.
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

/// The name of an instance's files.
pub fn instance_name(service: &str, number: usize) -> String {
    if number == 1 { service.to_owned() } else { format!("{service}-{number}") }
}

/// Waits until an instance reads all its topics, at most so long.
pub async fn wait_consuming(doors: Doors, limit: Duration) -> Result<(), String> {
    let question = Ready::Http(format!("{}/health/consuming", doors.ops_url()));
    let deadline = std::time::Instant::now() + limit;
    while let Err(answer) = question.ask().await {
        if std::time::Instant::now() > deadline {
            return Err(answer);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}
