//! Migrations: `migrate` applies them with the owner's rights; a starting service verifies them with its own.

use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

use super::{Database, DatabaseError, grants, sessions};

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
    sessions::verify(pool).await?;
    let mut connection = pool.acquire().await?;
    for migrator in migrators {
        let missing = |what: String| DatabaseError::Schema { what, program: program.to_owned() };
        let table = &*migrator.table_name;
        let dirty = dirty(&mut connection, table).await;
        let dirty = dirty.map_err(|error| explain(error, || missing(format!("{table} is missing"))))?;
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

async fn dirty(connection: &mut PgConnection, table: &str) -> Result<Option<i64>, sqlx::Error> {
    let query = format!("SELECT version FROM {table} WHERE NOT success ORDER BY version LIMIT 1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_optional(connection).await
}

/// Converts the errors of an absent table (no table, no schema, no right to read) into `missing`: `migrate` did not run.
fn explain(error: sqlx::Error, missing: impl FnOnce() -> DatabaseError) -> DatabaseError {
    match sqlstate::code(&error).as_deref() {
        Some("42P01" | "3F000" | "42501") => missing(),
        _ => error.into(),
    }
}
