//! The rights and defaults of a running service's role: it reads and writes rows, changes no table, and reads which
//! migrations are applied.

use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Defaults of the role rather than connection parameters: poolers refuse those at connect.
///
/// The time-outs: a frozen instance must not hold locks for longer than its membership of the consumer group lasts.
/// Plans that do not depend on statistics: a service's statements find few rows by keys, so an index and nested loops are
/// always right, also in a plan that was made while a table was nearly empty. Postgres still scans a table that has no
/// suitable index, and uses a partial one only where its condition is a literal of the statement, not a parameter. So
/// one generic plan per statement serves for ever: planning each execution took a quarter of the CPU of Postgres.
const DEFAULTS: [(&str, &str); 7] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// Selects the current role's objects outside the catalogues, as lists for GRANT, and the other role's quoted name.
const OWNED: &str = r"
    WITH owned AS (
        SELECT c.oid::regclass::text AS name, quote_ident(n.nspname) AS schema, c.relkind = 'S' AS is_sequence
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relowner = current_user::regrole AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
            AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%')
    SELECT quote_ident($1) AS role,
        string_agg(DISTINCT schema, ', ') AS schemas,
        string_agg(name, ', ') FILTER (WHERE NOT is_sequence) AS tables,
        string_agg(name, ', ') FILTER (WHERE is_sequence) AS sequences
    FROM owned";

/// Grants `role` rights on all objects of the current role; `bookkeeping` are the tables of migrations.
pub(super) async fn grant_rows(
    connection: &mut PgConnection,
    role: &str,
    bookkeeping: &[&str],
) -> sqlx::Result<()> {
    let owned = sqlx::query(OWNED).bind(role).fetch_one(&mut *connection).await?;
    let role: String = owned.try_get("role")?;
    let mut statements = vec!["REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned()];
    let mut grant = |right: &str, kind: &str, objects: Option<String>| {
        statements.extend(objects.map(|objects| format!("GRANT {right} ON {kind} {objects} TO {role}")));
    };
    grant("USAGE", "SCHEMA", owned.try_get("schemas")?);
    grant("SELECT, INSERT, UPDATE, DELETE", "TABLE", owned.try_get("tables")?);
    grant("USAGE", "SEQUENCE", owned.try_get("sequences")?);
    let revoke = |table: &&str| format!("REVOKE INSERT, UPDATE, DELETE ON TABLE {table} FROM {role}");
    statements.extend(bookkeeping.iter().map(revoke));
    let all = format!("BEGIN; {}; COMMIT", statements.join("; "));
    sqlx::raw_sql(AssertSqlSafe(all)).execute(connection).await.map(drop)
}

/// Sets the defaults of the current role. Postgres allows every role to do so for itself.
pub(super) async fn set_defaults(connection: &mut PgConnection) -> sqlx::Result<()> {
    for (name, value) in DEFAULTS {
        let shown = sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(name);
        // Only where it differs: several databases may have one role, and concurrent changes of a role fail.
        if shown.fetch_one(&mut *connection).await? != value {
            let alter = format!("ALTER ROLE CURRENT_USER SET {name} = '{value}'");
            sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
