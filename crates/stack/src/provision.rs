//! The administrator's steps before the first migration of a service: create a database and two roles. The migrator
//! owns the database; the migrations grant the service role what it needs. Every step is idempotent.

use crate::error::Result;
use crate::postgres::parse;
use crate::secrets::Secrets;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

#[derive(Debug, Clone)]
pub struct Access {
    /// The URL of the service role, which has the least rights.
    pub database_url: String,
    /// The URL of the owner, for migrations.
    pub migrate_database_url: String,
}

/// Returns the name of a service's database and of its role.
pub fn database(prefix: &str, service: &str) -> String {
    format!("{prefix}_{service}")
}

/// Returns the URLs that work after `provision`.
pub fn access(url: &str, prefix: &str, service: &str, secrets: &mut Secrets) -> Result<Access> {
    let database = database(prefix, service);
    let migrator = format!("{database}_migrator");
    Ok(Access {
        database_url: login(url, &database, &secrets.get(&database)?, &database)?,
        migrate_database_url: login(url, &migrator, &secrets.get(&migrator)?, &database)?,
    })
}

/// Creates the database `PREFIX_SERVICE`, the role `PREFIX_SERVICE` and the role `PREFIX_SERVICE_migrator` if missing.
pub async fn provision(
    admin: &mut PgConnection,
    prefix: &str,
    service: &str,
    secrets: &mut Secrets,
) -> Result<()> {
    let database = database(prefix, service);
    let migrator = format!("{database}_migrator");
    login_role(admin, &database, &secrets.get(&database)?).await?;
    login_role(admin, &migrator, &secrets.get(&migrator)?).await?;
    let there = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(&database);
    if there.fetch_optional(&mut *admin).await?.is_none() {
        // An administrator who is not a superuser must be a member of the role that will own the database.
        run(admin, format!(r#"GRANT "{migrator}" TO CURRENT_USER"#)).await?;
        run(admin, format!(r#"CREATE DATABASE "{database}" OWNER "{migrator}""#)).await?;
    }
    allow_only_its_role(admin, &database).await
}

/// Lets only the service role, which has the database's name, and the owner connect to a database.
pub async fn allow_only_its_role(admin: &mut PgConnection, database: &str) -> Result<()> {
    run(admin, format!(r#"REVOKE ALL ON DATABASE "{database}" FROM PUBLIC"#)).await?;
    run(admin, format!(r#"GRANT CONNECT ON DATABASE "{database}" TO "{database}""#)).await
}

/// Drops the databases and roles of these services, and terminates their connections.
pub async fn remove(admin: &mut PgConnection, prefix: &str, services: &[String]) -> Result<()> {
    for service in services {
        let database = database(prefix, service);
        run(admin, format!(r#"DROP DATABASE IF EXISTS "{database}" WITH (FORCE)"#)).await?;
        run(admin, format!(r#"DROP ROLE IF EXISTS "{database}""#)).await?;
        run(admin, format!(r#"DROP ROLE IF EXISTS "{database}_migrator""#)).await?;
    }
    Ok(())
}

pub async fn connect(admin_url: &str) -> Result<PgConnection> {
    Ok(PgConnection::connect(admin_url).await?)
}

async fn login_role(admin: &mut PgConnection, role: &str, password: &str) -> Result<()> {
    let there = sqlx::query("SELECT FROM pg_roles WHERE rolname = $1").bind(role);
    let verb = if there.fetch_optional(&mut *admin).await?.is_some() { "ALTER" } else { "CREATE" };
    run(admin, format!(r#"{verb} ROLE "{role}" LOGIN NOCREATEDB NOCREATEROLE PASSWORD '{password}'"#)).await
}

/// Runs a statement. Its names and passwords are safe: a checked prefix, a folder's name, hexadecimal digits.
async fn run(admin: &mut PgConnection, statement: String) -> Result<()> {
    admin.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

fn login(url: &str, user: &str, password: &str, database: &str) -> Result<String> {
    let mut url = parse(url)?;
    without_socket(&mut url);
    url.set_path(database);
    let no_host = |()| crate::Error::Failed("POSTGRES_URL names no host".to_owned());
    url.set_username(user).and_then(|()| url.set_password(Some(password))).map_err(no_host)?;
    Ok(url.into())
}

/// Removes the socket from a URL: an administrator may connect by a socket (`?host=/var/run/postgresql`), but the roles
/// connect over the network.
fn without_socket(url: &mut reqwest::Url) {
    let others: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "host").collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
}

#[cfg(test)]
mod tests {
    use super::login;

    #[test]
    fn roles_connect_over_the_network_with_the_other_options_of_the_administrators_url() {
        let url = "postgres://postgres@db/postgres?host=/var/run/postgresql&sslmode=require";
        assert_eq!(login(url, "a", "b", "c").unwrap(), "postgres://a:b@db/c?sslmode=require");
        assert_eq!(login("postgres://x:y@db:5433/z", "a", "b", "c").unwrap(), "postgres://a:b@db:5433/c");
    }
}
