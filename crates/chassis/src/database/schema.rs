//! Migrations: `migrate` applies them with the owner's rights; a starting service verifies them with its own. It also checks
//! that each connection has a session of Postgres of its own: a pooler in transaction mode gives each transaction another
//! session, in which a prepared statement is missing, or exists already.

use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

use super::{Database, DatabaseError, grants};

/// The SQLSTATE of a statement that is prepared already.
const PREPARED_TWICE: &str = "42P05";
/// The SQLSTATE of a statement that is not prepared.
const NOT_PREPARED: &str = "26000";
/// The SQLSTATEs where `migrate` did not run: no table, no schema, no right to read.
const NO_TABLE: [&str; 3] = ["42P01", "3F000", "42501"];

/// Migrates the schema to this version (`owner` is `MIGRATE_DATABASE_URL`), then grants the service's role the rights that
/// it needs, and sets its time-outs. Repeating it changes nothing; a newer schema stays as it is.
pub async fn migrate(
    migrators: &[&Migrator],
    owner: &Database,
    service: &Database,
) -> Result<(), DatabaseError> {
    let mut connection = owner.connect().await?;
    // Migrations may take longer than the role's time-outs allow, and two must not run at the same time.
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = '30s'").execute(&mut connection).await?;
    sqlx::raw_sql("SELECT pg_advisory_lock(hashtext('migrate'))").execute(&mut connection).await?;
    for migrator in migrators {
        accepting_newer(migrator).run_direct(None, &mut connection, false).await?;
    }
    if owner.role() != service.role() {
        let bookkeeping: Vec<&str> = migrators.iter().map(|migrator| &*migrator.table_name).collect();
        grants::grant_rows(&mut connection, service.role(), &bookkeeping).await?;
    }
    connection.close().await?;
    let mut connection = service.connect().await?;
    grants::set_defaults(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Copies a migrator so that it accepts newer migrations: after a rollback an older `migrate` runs on a newer schema.
fn accepting_newer(migrator: &Migrator) -> Migrator {
    let mut copy = Migrator::with_migrations(migrator.iter().cloned().collect());
    copy.dangerous_set_table_name(migrator.table_name.clone());
    migrator.create_schemas.iter().for_each(|schema| _ = copy.create_schema(schema.clone()));
    copy.set_ignore_missing(true);
    copy
}

/// Checks that prepared statements work, and that every migration of this binary is applied and unchanged. Further
/// migrations belong to a newer version. `program` is the command in the error's advice.
pub async fn verify(program: &str, migrators: &[&Migrator], pool: &PgPool) -> Result<(), DatabaseError> {
    verify_sessions(pool).await?;
    let mut connection = pool.acquire().await?;
    for migrator in migrators {
        let missing = |what: String| DatabaseError::Schema { what, program: program.to_owned() };
        let table = &*migrator.table_name;
        let dirty = dirty(&mut connection, table).await;
        let dirty =
            dirty.map_err(|error| explain(error, &NO_TABLE, || missing(format!("{table} is missing"))))?;
        if let Some(version) = dirty {
            return Err(missing(format!("migration {version} in {table} broke off")));
        }
        let applied = connection.list_applied_migrations(table).await?;
        for Migration { version, checksum, description, .. } in migrator.iter() {
            match applied.iter().find(|applied| applied.version == *version) {
                None => return Err(missing(format!("migration {version} {description} is not applied"))),
                Some(applied) if applied.checksum != *checksum => {
                    return Err(DatabaseError::Changed { version: *version });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Prepares a first statement on two new connections. Both statements have the same name, so they collide where the two
/// connections share one session.
async fn verify_sessions(pool: &PgPool) -> Result<(), DatabaseError> {
    let options = pool.connect_options();
    let mut first = PgConnection::connect_with(&options).await?;
    let mut second = PgConnection::connect_with(&options).await?;
    for connection in [&mut first, &mut second] {
        let prepared = sqlx::query("SELECT 1").execute(connection).await;
        prepared
            .map_err(|error| explain(error, &[PREPARED_TWICE, NOT_PREPARED], || DatabaseError::Pooled))?;
    }
    first.close().await?;
    Ok(second.close().await?)
}

async fn dirty(connection: &mut PgConnection, table: &str) -> Result<Option<i64>, sqlx::Error> {
    let query = format!("SELECT version FROM {table} WHERE NOT success ORDER BY version LIMIT 1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_optional(connection).await
}

/// Returns `known` for an error with one of `codes`.
fn explain(error: sqlx::Error, codes: &[&str], known: impl FnOnce() -> DatabaseError) -> DatabaseError {
    if sqlstate::code(&error).is_some_and(|code| codes.contains(&&*code)) { known() } else { error.into() }
}
