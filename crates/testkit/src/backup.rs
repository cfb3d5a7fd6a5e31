//! Copies of a service's database, for tests of a restore.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use stack::{Result, provision};

/// Copies a database as `NAME_copy`, and terminates its sessions: Postgres copies no database that is in use.
pub(crate) async fn take(admin: &mut PgConnection, database: &str) -> Result<()> {
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(disconnect).bind(database).execute(&mut *admin).await?;
    let copy =
        format!(r#"CREATE DATABASE "{database}_copy" OWNER "{database}_migrator" TEMPLATE "{database}""#);
    admin.execute(AssertSqlSafe(copy)).await?;
    Ok(())
}

/// Replaces a database by its copy.
pub(crate) async fn restore(admin: &mut PgConnection, database: &str) -> Result<()> {
    for statement in [
        format!(r#"DROP DATABASE "{database}" WITH (FORCE)"#),
        format!(r#"ALTER DATABASE "{database}_copy" RENAME TO "{database}""#),
    ] {
        admin.execute(AssertSqlSafe(statement)).await?;
    }
    provision::allow_only_its_role(admin, database).await
}
