//! `with-servers COMMAND`: runs a command with a private Kafka and Postgres, and stops them when the command ends.

use crate::screen::Step;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use stack::{Home, Servers, Stop, postgres};
use std::process::ExitCode;
use tokio::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Start only Postgres, with one migrated database per service: `ORDER_DATABASE_URL` and so on are set too.
    #[arg(long)]
    databases: bool,
    /// The command; `KAFKA_BROKERS` and `POSTGRES_URL` are set in its environment.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = Stop::new()?;
    let step = Step::begin("starting private servers");
    let (servers, variables) = tokio::select! {
        started = start(arguments.databases) => started?,
        which = signals.asked() => anyhow::bail!("stopped by {which}"),
    };
    step.done(format_args!("Postgres{}", if arguments.databases { "" } else { " and Kafka" }));
    let (program, rest) = arguments.command.split_first().ok_or_else(|| anyhow::anyhow!("no command"))?;
    let mut child = Command::new(program)
        .args(rest)
        .env("KAFKA_BROKERS", servers.brokers())
        .env("POSTGRES_URL", servers.postgres_url())
        .envs(variables)
        .kill_on_drop(true)
        .spawn()?;
    let status = tokio::select! {
        status = child.wait() => status?,
        which = signals.asked() => {
            anyhow::ensure!(which == "Ctrl-C", "stopped by {which}");
            // The terminal sends it to the command as well: the servers stay until the command has ended.
            child.wait().await?
        }
    };
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Starts the servers, and returns the variables of the databases.
async fn start(databases: bool) -> anyhow::Result<(Servers, Vec<(String, String)>)> {
    if !databases {
        return Ok((Servers::start(None, None).await?, Vec::new()));
    }
    let home = Home::find()?;
    let servers = Servers::start(Some("no Kafka".to_owned()), None).await?;
    let mut admin = PgConnection::connect(servers.postgres_url()).await?;
    let mut variables = Vec::new();
    for service in home.services()? {
        admin.execute(AssertSqlSafe(format!(r#"CREATE DATABASE "{service}""#))).await?;
        let url = postgres::with_database(servers.postgres_url(), &service)?;
        migrate(&home, &service, &url).await?;
        variables.push((format!("{}_DATABASE_URL", service.to_uppercase()), url));
    }
    Ok((servers, variables))
}

/// Applies the migrations of the crates below the service and its own, each with its own table of applied migrations. The
/// services' own `migrate` is not built yet: this command serves the build.
async fn migrate(home: &Home, service: &str, url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for name in ["broker", "web"] {
        let mut migrator = Migrator::new(home.root().join("crates").join(name).join("migrations")).await?;
        migrator.create_schema(name);
        migrator.dangerous_set_table_name(format!("{name}._sqlx_migrations"));
        migrator.run(&mut connection).await?;
    }
    Migrator::new(home.root().join("migrations").join(service)).await?.run(&mut connection).await?;
    Ok(connection.close().await?)
}
