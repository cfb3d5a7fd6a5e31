//! A whole system for one test: real processes with their own topics, databases and ports, on servers that may be
//! shared, and the ways to break them. Dropping the system checks that all queues are empty, then stops the processes.

use sqlx::{AssertSqlSafe, Executor as _};
use stack::backlog::{self, Look};
use stack::service::{Endpoints, Service};
use stack::{Daemon, During as _, Error, Home, Result, Scratch, Servers, provision, topics};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct System {
    pub(crate) home: Home,
    /// The prefix of the names of databases and roles: `t_<8 hex>`.
    pub(crate) database_prefix: String,
    /// The prefix of the names of topics and groups: `t-<8 hex>.`.
    pub(crate) topic_prefix: String,
    pub(crate) admin_token: String,
    pub(crate) members: Vec<Member>,
    pub(crate) leave_queues: AtomicBool,
    pub(crate) servers: Arc<Servers>,
    pub(crate) scratch: Scratch,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) service: Service,
    pub(crate) instances: Vec<(Endpoints, Daemon)>,
}

impl System {
    /// The names of all services, found by their folders.
    pub fn services(&self) -> impl Iterator<Item = &str> + Clone {
        self.members.iter().map(|member| member.service.name.as_str())
    }

    pub fn url(&self, service: &str) -> String {
        self.endpoints(service, 1).url()
    }

    /// The base URL of instance `number` (from 1).
    pub fn instance_url(&self, service: &str, number: usize) -> String {
        self.endpoints(service, number).url()
    }

    /// The base URL of health and metrics of instance `number` (from 1).
    pub fn ops_url(&self, service: &str, number: usize) -> String {
        self.endpoints(service, number).ops_url()
    }

    /// The first instance of a service, to kill, stop, freeze, thaw or start.
    pub fn service(&self, service: &str) -> &Daemon {
        self.instance(service, 1)
    }

    pub fn instance(&self, service: &str, number: usize) -> &Daemon {
        &self.member_instance(service, number).1
    }

    pub fn instances(&self, service: &str) -> usize {
        self.member(service).instances.len()
    }

    /// The private Kafka, to break.
    ///
    /// # Panics
    /// Panics when the servers are shared: a test that breaks them starts its own (`Builder::private_servers`).
    pub fn kafka(&self) -> &Daemon {
        private(self.servers.kafka())
    }

    /// The private Postgres, to break.
    ///
    /// # Panics
    /// Panics when the servers are shared.
    pub fn postgres(&self) -> &Daemon {
        private(self.servers.postgres())
    }

    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub fn brokers(&self) -> &str {
        self.servers.brokers()
    }

    /// Whether each service connects to Kafka as a user of its own.
    pub(crate) fn has_users(&self) -> bool {
        self.servers.guarded_brokers().is_some()
    }

    pub fn topic_prefix(&self) -> &str {
        &self.topic_prefix
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// The URL of a service's database for its owner.
    pub fn database_url(&self, service: &str) -> &str {
        &self.member(service).service.access.migrate_database_url
    }

    /// The URL of a service's database for the service role.
    pub fn service_database_url(&self, service: &str) -> &str {
        &self.member(service).service.access.database_url
    }

    /// Runs SQL in a service's database as the owner, to simulate the passing of time or an accident.
    pub async fn in_database(&self, service: &str, sql: &str) -> Result<()> {
        let mut connection = provision::connect(self.database_url(service)).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        Ok(())
    }

    /// Copies the database of a service, which must not be running.
    pub async fn back_up(&self, service: &str) -> Result<()> {
        let mut admin = provision::connect(self.servers.postgres_url()).await?;
        let database = provision::database(&self.database_prefix, service);
        // Postgres copies no database that is in use.
        let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(disconnect).bind(&database).execute(&mut admin).await?;
        let copy =
            format!(r#"CREATE DATABASE "{database}_copy" OWNER "{database}_migrator" TEMPLATE "{database}""#);
        admin.execute(AssertSqlSafe(copy)).await?;
        Ok(())
    }

    /// Replaces the database of a service, which must not be running, by its copy.
    pub async fn restore(&self, service: &str) -> Result<()> {
        let mut admin = provision::connect(self.servers.postgres_url()).await?;
        let database = provision::database(&self.database_prefix, service);
        for statement in [
            format!(r#"DROP DATABASE "{database}" WITH (FORCE)"#),
            format!(r#"ALTER DATABASE "{database}_copy" RENAME TO "{database}""#),
        ] {
            admin.execute(AssertSqlSafe(statement)).await?;
        }
        provision::allow_only_its_role(&mut admin, &database).await
    }

    /// Returns a command of a service (`redrive`, `rewind`, …) with its settings; the caller starts it.
    pub fn command(&self, service: &str) -> tokio::process::Command {
        let mut command = self.member(service).service.command();
        command.kill_on_drop(true);
        command
    }

    /// Waits until the system is idle: outboxes, lag and dead letters are at zero.
    pub async fn quiesce(&self) -> Result<()> {
        let deadline = Instant::now() + IDLE_TIMEOUT;
        let mut before = None;
        loop {
            let looked = self.look().await;
            let is_idle = looked.as_ref().is_ok_and(|looks| looks.iter().all(|look| look.waiting.is_empty()));
            // Two equal looks: no event was in flight between services that were queried one after the other.
            if is_idle && before.as_ref() == looked.as_ref().ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (seconds, what) = (IDLE_TIMEOUT.as_secs(), waiting(looked?));
                return Err(Error::Failed(format!("the system is not idle after {seconds} s: {what}")));
            }
            // A server that is just restarting may refuse a query.
            before = looked.ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn look(&self) -> Result<Vec<Look>> {
        let looks = self.members.iter().map(|Member { service, .. }| {
            let url = &service.access.migrate_database_url;
            backlog::look(&service.name, url, self.brokers(), &self.topic_prefix)
        });
        futures::future::try_join_all(looks).await
    }

    /// Skips the check for empty queues when the system is dropped: this test leaves a backlog on purpose.
    pub fn leave_queues(&self) {
        self.leave_queues.store(true, Ordering::Relaxed);
    }

    pub(crate) fn member(&self, service: &str) -> &Member {
        let found = self.members.iter().find(|member| member.service.name == service);
        found.unwrap_or_else(|| panic!("this system has no service `{service}`"))
    }

    fn member_instance(&self, service: &str, number: usize) -> &(Endpoints, Daemon) {
        let instances = &self.member(service).instances;
        let found = number.checked_sub(1).and_then(|index| instances.get(index));
        found.unwrap_or_else(|| panic!("{service} has {} instances, not {number}", instances.len()))
    }

    fn endpoints(&self, service: &str, number: usize) -> Endpoints {
        self.member_instance(service, number).0
    }

    fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.members.iter().flat_map(|member| &member.instances).map(|(_, daemon)| daemon)
    }

    /// Prints what is waiting and the last log lines of each process, for a failed test.
    pub fn show_state(&self) {
        match finish(self.look()) {
            Ok(looks) => eprintln!("--- waiting: {}", waiting(looks)),
            Err(error) => eprintln!("--- what is waiting cannot be read: {error}"),
        }
        for daemon in self.daemons().chain(self.servers.kafka()).chain(self.servers.postgres()) {
            let state = daemon.end().unwrap_or_else(|| "is running".to_owned());
            eprintln!("--- {} {state}; the end of its log:\n{}", daemon.name(), daemon.log_tail());
        }
    }

    /// Deletes the topics, databases and roles of this system, for servers that are shared.
    async fn clear(&self) -> Result<()> {
        topics::delete(self.brokers(), &self.topic_prefix, &[]).await?;
        let names: Vec<String> = self.members.iter().map(|member| member.service.name.clone()).collect();
        let mut admin = provision::connect(self.servers.postgres_url()).await?;
        provision::remove(&mut admin, &self.database_prefix, &names).await
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        let idle = if failing || self.leave_queues.load(Ordering::Relaxed) {
            Ok(())
        } else {
            finish(self.quiesce())
        };
        if failing || idle.is_err() {
            self.show_state();
        }
        self.daemons().for_each(Daemon::clean_up);
        let shared = Arc::strong_count(&self.servers) > 1 || self.servers.kafka().is_none();
        let cleared = if shared { finish(self.clear()) } else { Ok(()) };
        if failing {
            return;
        }
        for result in [idle, cleared] {
            if let Err(error) = result {
                panic!("{error}");
            }
        }
    }
}

/// Returns the backlogs in one line, which is empty when the system is idle.
fn waiting(looks: Vec<Look>) -> String {
    looks.into_iter().flat_map(|look| look.waiting).collect::<Vec<_>>().join(", ")
}

/// Runs a future to its end from a destructor, on another thread, since the current one may belong to a runtime.
fn finish<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.during(|| "starting a runtime".to_owned())?.block_on(future)
        });
        thread.join().unwrap_or_else(|_| Err(Error::Failed("the cleanup of a system panicked".to_owned())))
    })
}

fn private(daemon: Option<&Daemon>) -> &Daemon {
    daemon.unwrap_or_else(|| {
        panic!("this server is external: a test that breaks a server starts its own (`private_servers`)")
    })
}
