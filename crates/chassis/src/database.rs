//! The service's database: a pool that gives up soon enough for a 503, a visible wait for Postgres at the
//! start, and the schema, which `migrate` makes and a starting service only verifies.

mod grants;
mod schema;
mod sessions;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio_util::sync::CancellationToken;

pub use schema::{migrate, verify};

use crate::ops::Finding;

/// Callers are promised an answer within three seconds, database or not.
const ACQUIRE: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 16;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is wrong with the database, and what would help. The cause stands in the sentence, so none has a source:
/// the driver's own chain says everything twice.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The setting is no Postgres URL.
    #[error(
        "{setting} is no URL of a Postgres database such as postgres://role:password@host:5432/name: {cause}"
    )]
    Url {
        /// The setting.
        setting: &'static str,
        /// Why not.
        cause: sqlx::Error,
    },
    /// Postgres is there and refuses us; waiting would not help.
    #[error("{setting}: Postgres at {place} refuses: {cause}")]
    Refused {
        /// The setting.
        setting: &'static str,
        /// Host, port and database.
        place: String,
        /// Why.
        cause: sqlx::Error,
    },
    /// A query failed.
    #[error("{0}")]
    Query(sqlx::Error),
    /// A migration failed.
    #[error("the schema could not be changed: {0}")]
    Migrate(MigrateError),
    /// The schema is not the one that this binary is made for.
    #[error("the database's schema is not ready for this version ({what}); run: {program} migrate")]
    Schema {
        /// What is missing or different.
        what: String,
        /// How the service's program is called.
        program: String,
    },
    /// A migration was changed after it had been applied.
    #[error(
        "migration {version} of the database differs from this version's: it was changed after it was applied"
    )]
    Changed {
        /// The migration.
        version: i64,
    },
    /// A pooler shares sessions of Postgres between connections, without their prepared statements.
    #[error(
        "a pooler in transaction mode stands before Postgres, and prepared statements do not work through it: use its \
         session mode, or PgBouncer from 1.21 with max_prepared_statements"
    )]
    Pooled,
    /// The process was told to stop while it waited.
    #[error("stopped while waiting for Postgres")]
    Stopped,
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

/// A database as a setting names it.
#[derive(Clone)]
pub struct Database {
    setting: &'static str,
    options: PgConnectOptions,
}

impl Database {
    /// Reads the URL that `setting` (`DATABASE_URL`) holds; `application` is what Postgres shows of us.
    pub fn new(setting: &'static str, url: &SecretString, application: &str) -> Result<Self, DatabaseError> {
        let url = url.expose_secret();
        let options = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => url.parse::<PgConnectOptions>(),
            // The driver itself would take any scheme for its own.
            _ => Err(sqlx::Error::Configuration("it does not begin with postgres://".into())),
        };
        let options = options.map_err(|cause| DatabaseError::Url { setting, cause })?;
        Ok(Self { setting, options: options.application_name(application) })
    }

    /// The role that connects.
    pub fn role(&self) -> &str {
        self.options.get_username()
    }

    /// A pool that connects when it is first used.
    pub fn pool(&self) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE);
        pool.connect_lazy_with(self.options.clone())
    }

    /// Waits until Postgres answers, with a line in the log for every attempt; an error when it answers that it
    /// will not have us, or on `stop`.
    pub async fn wait(&self, stop: &CancellationToken) -> Result<(), DatabaseError> {
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout(LONGEST_WAIT, self.options.connect());
            let attempt = stop.run_until_cancelled(attempt).await.ok_or(DatabaseError::Stopped)?;
            match attempt.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())) {
                Ok(connection) => return Ok(connection.close().await?),
                Err(cause) if is_refusal(&cause) => {
                    return Err(DatabaseError::Refused { setting: self.setting, place: self.place(), cause });
                }
                Err(error) => tracing::warn!(%error, "waiting for Postgres at {}", self.place()),
            }
            let slept = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            slept.ok_or(DatabaseError::Stopped)?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }
}

/// Wrong password or role, no such database: an operator's to mend. "Starting up" and the like pass.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "3D000" || code == "42501")
}

/// Whether the pool's database answers, for [`crate::ops::Health::ready`].
pub(crate) async fn reachable(pool: PgPool) -> Finding {
    match sqlx::query("SELECT 1").execute(&pool).await {
        Ok(_) => Finding::new(true, ()),
        Err(error) => Finding::new(false, error.to_string()),
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
    async fn waiting_ends_when_the_process_is_told_to_stop() {
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
