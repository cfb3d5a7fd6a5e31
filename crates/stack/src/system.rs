//! A whole system for one test: its own topics, databases and ports on servers that may be shared, real processes, and
//! the ways to break them. It ends with the value, and asks then whether the queues are empty.

use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::scratch::Scratch;
use crate::servers::Servers;
use crate::service::{Doors, Service};
use crate::settled::{self, Look};
use crate::{provision, system_builder, topics};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a system may take to come to rest.
const SETTLING: Duration = Duration::from_secs(30);

/// The services of one test.
#[derive(Debug)]
pub struct System {
    pub(crate) home: Home,
    /// `t_<8 hex>`, before the names of databases and roles.
    pub(crate) database_prefix: String,
    /// `t-<8 hex>.`, before the names of topics and groups.
    pub(crate) topic_prefix: String,
    pub(crate) admin_token: String,
    pub(crate) members: Vec<Member>,
    pub(crate) leave_queues: AtomicBool,
    pub(crate) servers: Arc<Servers>,
    pub(crate) scratch: Scratch,
}

/// A service with its instances.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) service: Service,
    pub(crate) instances: Vec<(Doors, Daemon)>,
}

impl System {
    /// All services, one instance each, on the shared servers; returned when each is ready and reads its topics.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// The same with something changed.
    pub fn builder() -> system_builder::Builder {
        system_builder::Builder::default()
    }

    /// The names of all services, found by their folders.
    pub fn services(&self) -> impl Iterator<Item = &str> + Clone {
        self.members.iter().map(|member| member.service.name.as_str())
    }

    /// The base URL of the first instance of a service.
    pub fn url(&self, service: &str) -> String {
        self.doors(service, 1).url()
    }

    /// The base URL of instance `number` (from 1).
    pub fn instance_url(&self, service: &str, number: usize) -> String {
        self.doors(service, number).url()
    }

    /// The base URL of the operators' door of instance `number` (from 1).
    pub fn ops_url(&self, service: &str, number: usize) -> String {
        self.doors(service, number).ops_url()
    }

    /// The first instance of a service: to kill, stop, freeze, thaw, start.
    pub fn service(&self, service: &str) -> &Daemon {
        self.instance(service, 1)
    }

    /// Instance `number` (from 1).
    pub fn instance(&self, service: &str, number: usize) -> &Daemon {
        &self.member_instance(service, number).1
    }

    /// How many instances of a service there are, running or not.
    pub fn instances(&self, service: &str) -> usize {
        self.member(service).instances.len()
    }

    /// The private Kafka, to break.
    ///
    /// # Panics
    /// When the servers are shared: a test that breaks them brings its own (`Builder::private_servers`).
    pub fn kafka(&self) -> &Daemon {
        private(self.servers.kafka())
    }

    /// The private Postgres, to break.
    ///
    /// # Panics
    /// When the servers are shared.
    pub fn postgres(&self) -> &Daemon {
        private(self.servers.postgres())
    }

    /// The operator's token.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Kafka's bootstrap servers.
    pub fn brokers(&self) -> &str {
        self.servers.brokers()
    }

    /// What stands before the names of this system's topics and groups.
    pub fn topic_prefix(&self) -> &str {
        &self.topic_prefix
    }

    /// The full name of a topic.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// A service's database, as its owner.
    pub fn database_url(&self, service: &str) -> &str {
        &self.member(service).service.access.migrate_database_url
    }

    /// A service's database, as the service itself.
    pub fn service_database_url(&self, service: &str) -> &str {
        &self.member(service).service.access.database_url
    }

    /// Changes a service's database behind its back: what only time, or a mishap, would do.
    pub async fn in_database(&self, service: &str, sql: &str) -> Result<()> {
        let mut connection = provision::connect(self.database_url(service)).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
        Ok(())
    }

    /// A command of a service (`redrive`, `rewind`, …) with its settings; not started yet.
    pub fn command(&self, service: &str) -> tokio::process::Command {
        let mut command = self.member(service).service.command(&self.home);
        command.kill_on_drop(true);
        command
    }

    /// Waits until outboxes, lag and dead letters are at zero.
    pub async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLING;
        let mut before = None;
        loop {
            let looked = self.look().await;
            let at_rest = looked.as_ref().is_ok_and(|looks| looks.iter().all(|look| look.waiting.is_empty()));
            // Twice the same: nothing was on its way between two services that were looked at one after the other.
            if at_rest && before.as_ref() == looked.as_ref().ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let what: Vec<String> = looked?.into_iter().flat_map(|look| look.waiting).collect();
                return Err(Error::NotSettled { seconds: SETTLING.as_secs(), what: what.join(", ") });
            }
            // A server that is just coming back may refuse one look.
            before = looked.ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn look(&self) -> Result<Vec<Look>> {
        let looks = self.members.iter().map(|Member { service, .. }| {
            let url = &service.access.migrate_database_url;
            settled::look(&service.name, url, self.brokers(), &self.topic_prefix)
        });
        futures::future::try_join_all(looks).await
    }

    /// This test ends with something in the queues, on purpose: dropping the system does not mind.
    pub fn leave_queues(&self) {
        self.leave_queues.store(true, Ordering::Relaxed);
    }

    fn member(&self, service: &str) -> &Member {
        let found = self.members.iter().find(|member| member.service.name == service);
        found.unwrap_or_else(|| panic!("this system has no service `{service}`"))
    }

    fn member_instance(&self, service: &str, number: usize) -> &(Doors, Daemon) {
        let instances = &self.member(service).instances;
        let found = number.checked_sub(1).and_then(|index| instances.get(index));
        found.unwrap_or_else(|| panic!("{service} has {} instances, not {number}", instances.len()))
    }

    fn doors(&self, service: &str, number: usize) -> Doors {
        self.member_instance(service, number).0
    }

    fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.members.iter().flat_map(|member| &member.instances).map(|(_, daemon)| daemon)
    }

    /// Shown when a test fails: what each process said last.
    fn show_logs(&self) {
        for daemon in self.daemons().chain(self.servers.kafka()).chain(self.servers.postgres()) {
            let state = daemon.end().unwrap_or_else(|| "is running".to_owned());
            eprintln!("--- {} {state}; the end of its log:\n{}", daemon.name(), daemon.last_words());
        }
    }

    /// On shared servers nothing stays behind.
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
        let at_rest = if failing || self.leave_queues.load(Ordering::Relaxed) {
            Ok(())
        } else {
            finish(self.settled())
        };
        if failing || at_rest.is_err() {
            self.show_logs();
        }
        self.daemons().for_each(Daemon::put_away);
        let shared = Arc::strong_count(&self.servers) > 1 || self.servers.kafka().is_none();
        let cleared = if shared { finish(self.clear()) } else { Ok(()) };
        if failing {
            return;
        }
        for end in [at_rest, cleared] {
            if let Err(error) = end {
                panic!("{error}");
            }
        }
    }
}

/// Runs a future to its end from a destructor: on a thread of its own, since this one may belong to a runtime.
fn finish(future: impl Future<Output = Result<()>> + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .map_err(|source| Error::Io { what: "starting a runtime".to_owned(), source })?
                .block_on(future)
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::Machine("the last look at the queues panicked".to_owned())))
    })
}

fn private(daemon: Option<&Daemon>) -> &Daemon {
    daemon.unwrap_or_else(|| {
        panic!("the servers were given: a test that breaks one starts its own (`private_servers`)")
    })
}
