//! pgbench as the yardstick: an order and its outbox row, written by one statement on the Postgres under test.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::{Connection as _, Executor as _, PgConnection};
use testkit::Servers;
use tokio::process::Command;

use bench::cpu::Meter;
use bench::shop::server_pids;

const TABLES: &str = "
    DROP SCHEMA IF EXISTS bench CASCADE;
    CREATE SCHEMA bench;
    CREATE TABLE bench.orders (id uuid PRIMARY KEY DEFAULT uuidv7(), email text NOT NULL, payment_method text NOT NULL,
        status text NOT NULL DEFAULT 'placed', total bigint NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE bench.outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
        payload jsonb NOT NULL)";
const SCRIPT: &str = include_str!("../sql/order_outbox.sql");

/// The folders in which Debian and others install pgbench outside of `PATH`.
const FOLDERS: &str = "/usr/lib/postgresql";

/// The result of a run of pgbench.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Floor {
    /// Transactions per second.
    pub(crate) per_second: f64,
    /// The average latency in milliseconds.
    pub(crate) latency: f64,
    /// CPU seconds of Postgres per transaction, without pgbench itself.
    pub(crate) cpu: f64,
}

/// Runs pgbench with `clients` connections for `length`, at most at `rate` transactions per second.
pub(crate) async fn run(
    servers: &Servers,
    clients: usize,
    length: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Floor> {
    let mut connection = PgConnection::connect(servers.postgres_url()).await?;
    connection.execute(TABLES).await?;
    let script = std::env::temp_dir().join(format!("bench-{}.sql", std::process::id()));
    std::fs::write(&script, SCRIPT).with_context(|| format!("writing {}", script.display()))?;
    let mut pgbench = Command::new(program()?);
    pgbench.args(["--no-vacuum", "--protocol=prepared", "--file"]).arg(&script);
    pgbench.arg(format!("--client={clients}")).arg(format!("--jobs={}", clients.min(2)));
    pgbench.arg(format!("--time={}", length.as_secs()));
    pgbench.args(rate.map(|rate| format!("--rate={rate}"))).arg(servers.postgres_url());
    let postgres = server_pids(servers).filter(|(name, _)| name == "postgres");
    let meter = Meter::start(postgres.collect())?;
    let output = pgbench.kill_on_drop(true).output().await.context("starting pgbench")?;
    let used = meter.used()?;
    std::fs::remove_file(&script)?;
    connection.execute("DROP SCHEMA bench CASCADE").await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let transactions = number(&text, "number of transactions actually processed: ")?;
    Ok(Floor {
        per_second: number(&text, "tps = ")?,
        latency: number(&text, "latency average = ")?,
        cpu: used.total() / transactions,
    })
}

/// The path of pgbench, in `PATH` or in the folder of Debian's newest Postgres.
fn program() -> anyhow::Result<PathBuf> {
    let in_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut versions: Vec<PathBuf> = std::fs::read_dir(FOLDERS)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    in_path
        .chain(versions.into_iter().rev())
        .map(|folder| folder.join("pgbench"))
        .find(|file| file.is_file())
        .context("pgbench is missing; install it, on Debian with: apt-get install postgresql-contrib")
}

fn number(text: &str, label: &str) -> anyhow::Result<f64> {
    let rest = text.split_once(label).with_context(|| format!("pgbench does not say `{label}`: {text}"))?.1;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().with_context(|| format!("pgbench says `{label}{rest}`"))
}
