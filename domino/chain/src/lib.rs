//! Starts the roles of the chain as processes, each with a database of its own on a given Postgres; for the comparison and
//! the tests.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::{Child, Command};

/// The roles, in the order of the calls.
pub const ROLES: [&str; 4] = ["order", "payment", "inventory", "notification"];

const START: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(30);

/// The processes of a chain.
pub struct Chain {
    program: PathBuf,
    has_breaker: bool,
    roles: BTreeMap<&'static str, Role>,
    http: reqwest::Client,
}

struct Role {
    port: u16,
    database_url: String,
    process: Option<Child>,
}

impl Chain {
    /// Starts all roles with `program`, with databases whose names begin with `name`, on the Postgres of an administrator's
    /// URL.
    pub async fn start(
        program: &Path,
        postgres_url: &str,
        name: &str,
        has_breaker: bool,
    ) -> anyhow::Result<Self> {
        let mut admin = PgConnection::connect(postgres_url).await?;
        let mut roles = BTreeMap::new();
        for role in ROLES {
            let database = format!("{name}_{role}");
            admin.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
            let mut url = reqwest::Url::parse(postgres_url)?;
            url.set_path(&database);
            // The port is free when it is asked for; nothing else here opens one at random.
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            roles.insert(role, Role { port, database_url: url.into(), process: None });
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mut chain = Self { program: program.to_owned(), has_breaker, roles, http };
        for role in ROLES.into_iter().rev() {
            chain.spawn(role)?;
        }
        for role in ROLES {
            chain.wait(role).await?;
        }
        Ok(chain)
    }

    /// The base URL of a role.
    pub fn url(&self, role: &str) -> String {
        format!("http://127.0.0.1:{}", self.roles[role].port)
    }

    /// The URL of a role's database.
    pub fn database_url(&self, role: &str) -> &str {
        &self.roles[role].database_url
    }

    /// The process id of a role; `None` when it is dead.
    pub fn pid(&self, role: &str) -> Option<u32> {
        self.roles[role].process.as_ref()?.id()
    }

    /// Starts a role that was killed, and waits until it answers.
    pub async fn restart(&mut self, role: &'static str) -> anyhow::Result<()> {
        self.spawn(role)?;
        self.wait(role).await
    }

    /// Kills a role (SIGKILL).
    pub async fn kill(&mut self, role: &str) -> anyhow::Result<()> {
        if let Some(mut process) = self.roles.get_mut(role).and_then(|role| role.process.take()) {
            process.kill().await?;
        }
        Ok(())
    }

    /// Lists a product and its stock.
    pub async fn stock(&self, sku: &str, units: i64) -> anyhow::Result<()> {
        let product = serde_json::json!({"name": sku, "price": {"amount": 1299, "currency": "EUR"}});
        let listed =
            self.http.put(format!("{}/products/{sku}", self.url("order"))).json(&product).send().await?;
        listed.error_for_status()?;
        // A quantity is at most a million.
        let restock = format!("{}/products/{sku}/restock", self.url("inventory"));
        let restocked = self.http.post(restock).json(&serde_json::json!({"quantity": units})).send().await?;
        restocked.error_for_status()?;
        Ok(())
    }

    /// Sets the latency of the payment gateway.
    pub async fn set_gateway_latency(&self, milliseconds: u64) -> anyhow::Result<()> {
        let simulation = serde_json::json!({"latency_ms": milliseconds});
        let set =
            self.http.put(format!("{}/simulation", self.url("payment"))).json(&simulation).send().await?;
        set.error_for_status()?;
        Ok(())
    }

    fn spawn(&mut self, role: &'static str) -> anyhow::Result<()> {
        let next = ROLES.iter().skip_while(|known| **known != role).nth(1).map(|next| self.url(next));
        let mut command = Command::new(&self.program);
        command.arg(role).arg("--listen").arg(format!("127.0.0.1:{}", self.roles[role].port));
        command.args(next.iter().flat_map(|next| ["--next", next]));
        command.args(self.has_breaker.then_some("--breaker"));
        command
            .env("DATABASE_URL", &self.roles[role].database_url)
            .env("RUST_LOG", "warn")
            .kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        if let Some(role) = self.roles.get_mut(role) {
            role.process = Some(process);
        }
        Ok(())
    }

    async fn wait(&self, role: &str) -> anyhow::Result<()> {
        let (url, started) = (format!("{}/health/ready", self.url(role)), Instant::now());
        while self.http.get(&url).send().await.is_err() {
            if started.elapsed() > START {
                bail!("{role} does not answer {START:?} after its start");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}
