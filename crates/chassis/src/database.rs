//! The service's database: a pool whose timeout allows a 503 within three seconds, a logged wait for Postgres at the start,
//! and the schema. `migrate` changes the schema; a starting service only verifies it.

mod grants;
mod schema;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

pub use schema::{migrate, verify};

use crate::ops::Finding;

/// The contract promises an answer within three seconds, also without the database.
const ACQUIRE: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 16;
/// A connection that was idle for longer is tested before it is used.
const TRUSTED: Duration = Duration::from_millis(500);
/// Settings of a session whose plans follow the values and the statistics, which is Postgres' default.
const BY_STATISTICS: &str = "SET plan_cache_mode = auto; SET enable_seqscan = on; SET enable_hashjoin = on;
    SET enable_mergejoin = on";
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An error of the database, with the command or setting that helps. The message contains the cause, so there is no source:
/// the driver's own chain of errors repeats itself.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(
        "{setting} is not the URL of a Postgres database, such as postgres://role:password@host:5432/name: {cause}"
    )]
    Url { setting: &'static str, cause: sqlx::Error },
    /// Postgres answers and refuses the connection; waiting would not help.
    #[error("{setting}: Postgres at {place} refuses the connection: {cause}")]
    Refused { setting: &'static str, place: String, cause: sqlx::Error },
    #[error("{setting}: no connection to Postgres at {place}: {what}")]
    Tls { setting: &'static str, place: String, what: String },
    #[error("{}", sqlstate::refusal_of_tls(.0).unwrap_or_else(|| .0.to_string()))]
    Query(sqlx::Error),
    #[error("the schema could not be changed: {0}")]
    Migrate(MigrateError),
    #[error("the database's schema is not ready for this version ({what}); run: {program} migrate")]
    Schema { what: String, program: String },
    #[error(
        "migration {version} of the database differs from this version's: it was changed after it was applied"
    )]
    Changed { version: i64 },
    /// A pooler shares sessions of Postgres between connections, without their prepared statements.
    #[error(
        "prepared statements do not work, because DATABASE_URL leads to a pooler in transaction mode: use its session mode, \
         or PgBouncer from 1.21 with max_prepared_statements"
    )]
    Pooled,
    #[error("stopped while waiting for Postgres")]
    Stopped,
}

impl DatabaseError {
    /// Whether the database did not answer, or could not work.
    fn is_outage(&self) -> bool {
        match self {
            Self::Query(error) | Self::Migrate(MigrateError::Execute(error)) => sqlstate::is_outage(error),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(error)
    }
}

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(error)
    }
}

/// The database that a setting names.
#[derive(Clone)]
pub struct Database {
    setting: &'static str,
    options: PgConnectOptions,
}

impl Database {
    /// Parses `url`, the value of `setting`; `application` is the name of the connections in `pg_stat_activity`.
    pub fn new(setting: &'static str, url: &SecretString, application: &str) -> Result<Self, DatabaseError> {
        let url = url.expose_secret();
        let options = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => url.parse::<PgConnectOptions>(),
            // The driver itself accepts any scheme.
            _ => Err(sqlx::Error::Configuration("it does not begin with postgres://".into())),
        };
        let options = options.map_err(|cause| DatabaseError::Url { setting, cause })?;
        Ok(Self { setting, options: options.application_name(application) })
    }

    pub fn role(&self) -> &str {
        self.options.get_username()
    }

    /// Creates a pool for a running service, which connects when it is first used.
    pub fn pool(&self) -> PgPool {
        pool_options().connect_lazy_with(self.options.clone())
    }

    /// Creates a pool for a command. Its statements go over many rows and have filters that may be unset, so Postgres plans
    /// each with its values and statistics, unlike those of a running service (`grants`).
    pub(crate) fn command_pool(&self) -> PgPool {
        let pool = pool_options().after_connect(|connection, _| {
            Box::pin(async move { connection.execute(BY_STATISTICS).await.map(drop) })
        });
        pool.connect_lazy_with(self.options.clone())
    }

    /// Waits until Postgres accepts a connection, and logs every failed attempt. Fails when Postgres refuses the
    /// connection, and on `stop`.
    pub async fn wait(&self, stop: &CancellationToken) -> Result<(), DatabaseError> {
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout(LONGEST_WAIT, self.options.connect());
            let attempt = stop.run_until_cancelled(attempt).await.ok_or(DatabaseError::Stopped)?;
            match attempt.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())) {
                Ok(connection) => {
                    // Postgres has accepted it; an outage at its end is one for the next query.
                    _ = connection.close().await;
                    return Ok(());
                }
                Err(cause) => match self.explain(cause) {
                    refused @ DatabaseError::Refused { .. } => return Err(refused),
                    // A file or the server's certificate can be replaced without a restart of the service.
                    error => tracing::warn!(%error, "waiting for Postgres at {}", self.place()),
                },
            }
            let slept = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            slept.ok_or(DatabaseError::Stopped)?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits until Postgres accepts a connection, then verifies the schema as [`verify`] does; an outage in between is waited for too.
    pub async fn wait_verified(
        &self,
        program: &str,
        migrators: &[&Migrator],
        pool: &PgPool,
        stop: &CancellationToken,
    ) -> Result<(), DatabaseError> {
        loop {
            self.wait(stop).await?;
            match verify(program, migrators, pool).await {
                Err(error) if error.is_outage() => {
                    tracing::warn!(%error, "waiting for Postgres at {}", self.place());
                }
                done => return done,
            }
            // Postgres may accept a connection and refuse the pool's at once, again and again.
            let slept = stop.run_until_cancelled(tokio::time::sleep(FIRST_WAIT)).await;
            slept.ok_or(DatabaseError::Stopped)?;
        }
    }

    async fn connect(&self) -> Result<PgConnection, DatabaseError> {
        self.options.connect().await.map_err(|cause| self.explain(cause))
    }

    /// Adds the setting and the server to an error of connecting, when the setting may be wrong.
    fn explain(&self, cause: sqlx::Error) -> DatabaseError {
        let (setting, place) = (self.setting, self.place());
        if is_refusal(&cause) {
            return DatabaseError::Refused { setting, place, cause };
        }
        match sqlstate::refusal_of_tls(&cause) {
            Some(what) => DatabaseError::Tls { setting, place, what },
            None => cause.into(),
        }
    }

    fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }
}

fn pool_options() -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE);
    // A round trip for each use would be a tenth of all; a connection that was used a moment ago is almost always alive.
    pool.test_before_acquire(false).before_acquire(|connection, meta| {
        Box::pin(async move {
            if meta.idle_for > TRUSTED {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

/// Returns whether only an operator can repair the error: a wrong password or role, or no such database. Others, such as
/// "the database system is starting up", pass.
fn is_refusal(error: &sqlx::Error) -> bool {
    sqlstate::code(error).is_some_and(|code| code.starts_with("28") || code == "3D000" || code == "42501")
}

/// Checks that the pool's database answers, for [`crate::ops::Health::ready`].
pub(crate) async fn reachable(pool: PgPool) -> Finding {
    match sqlx::query("SELECT 1").execute(&pool).await {
        Ok(_) => Finding::new(true, ()),
        Err(error) => Finding::new(false, DatabaseError::from(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_password() {
        let database =
            Database::new("DATABASE_URL", &"postgres://a:secret@db:5433/shop".into(), "order").unwrap();
        assert_eq!((database.place().as_str(), database.role()), ("db:5433/shop", "a"));
        let error = Database::new("DATABASE_URL", &"mysql://a:secret@b".into(), "order").err().unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn waiting_ends_when_the_process_stops() {
        let database =
            Database::new("DATABASE_URL", &"postgres://a@127.0.0.1:1/shop".into(), "order").unwrap();
        let stop = CancellationToken::new();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { database.wait(&stop).await }
        });
        stop.cancel();
        assert!(matches!(waiting.await.unwrap(), Err(DatabaseError::Stopped)));
    }
}
