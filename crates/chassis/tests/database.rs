//! Schema, rights and time-outs against a real Postgres.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use chassis::database::{Database, DatabaseError, migrate, verify};
use secrecy::SecretString;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor, PgPool, SqlSafeStr};
use tokio_util::sync::CancellationToken;

/// A database with an owner and a service role of its own.
struct Shop {
    owner: Database,
    service: Database,
    pool: PgPool,
}

fn url(role: &str, database: &str) -> SecretString {
    let admin: PgConnectOptions =
        std::env::var("POSTGRES_URL").expect("POSTGRES_URL is not set: run ./scripts/test").parse().unwrap();
    format!("postgres://{role}:secret@{}:{}/{database}", admin.get_host(), admin.get_port()).into()
}

async fn shop(name: &str) -> Shop {
    let name = format!("chassis_{name}_{}", std::process::id());
    let (owner, service) = (format!("{name}_owner"), format!("{name}_service"));
    let admin =
        PgPool::connect(&std::env::var("POSTGRES_URL").expect("POSTGRES_URL is not set: run ./scripts/test"))
            .await
            .unwrap();
    for statement in [
        format!("CREATE ROLE {owner} LOGIN PASSWORD 'secret'"),
        format!("CREATE ROLE {service} LOGIN PASSWORD 'secret'"),
        format!("CREATE DATABASE {name} OWNER {owner}"),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let owner = Database::new("MIGRATE_DATABASE_URL", &url(&owner, &name), "migrate").unwrap();
    let service = Database::new("DATABASE_URL", &url(&service, &name), "order").unwrap();
    let pool = service.pool();
    Shop { owner, service, pool }
}

fn migration(version: i64, sql: &'static str) -> Migration {
    Migration::new(version, "test".into(), MigrationType::Simple, sql.into_sql_str(), false)
}

const ORDERS: &str = "CREATE TABLE orders (id bigserial PRIMARY KEY, note text);
    CREATE SCHEMA gateway; CREATE TABLE gateway.charges (id bigint PRIMARY KEY);";

fn orders() -> Migrator {
    Migrator::with_migrations(vec![migration(1, ORDERS)])
}

fn newer() -> Migrator {
    Migrator::with_migrations(vec![migration(1, ORDERS), migration(2, "ALTER TABLE orders ADD more text")])
}

#[tokio::test]
async fn a_service_starts_only_on_the_schema_it_is_made_for() {
    let shop = shop("verify").await;
    let (old, new) = (orders(), newer());
    let verify =
        async |migrator: &Migrator| verify("order", &[&broker::MIGRATIONS, migrator], &shop.pool).await;
    let unready = verify(&old).await.unwrap_err().to_string();
    assert!(unready.ends_with("run: order migrate"), "{unready}");

    for migrator in [&old, &old, &new, &old] {
        migrate(&[&broker::MIGRATIONS, migrator], &shop.owner, &shop.service).await.unwrap();
        verify(&old).await.unwrap();
    }
    verify(&new).await.unwrap();
    let changed = Migrator::with_migrations(vec![migration(1, "SELECT 1")]);
    assert!(matches!(verify(&changed).await, Err(DatabaseError::Changed { version: 1 })));
    let next = Migrator::with_migrations(vec![migration(3, "SELECT 1")]);
    assert!(matches!(verify(&next).await, Err(DatabaseError::Schema { .. })));
}

/// The service's migrations of a version that had the table of idempotency keys among them.
fn with_keys() -> Migrator {
    let keys = include_str!("../../web/migrations/0001_idempotency_keys.sql");
    Migrator::with_migrations(vec![migration(1, ORDERS), migration(2, keys)])
}

#[tokio::test]
async fn a_database_whose_service_had_the_idempotency_keys_is_upgraded() {
    let shop = shop("keys").await;
    let (before, after) = (with_keys(), orders());
    let migrate = async |own: &[&Migrator]| migrate(own, &shop.owner, &shop.service).await.unwrap();
    migrate(&[&broker::MIGRATIONS, &before]).await;
    let key = "INSERT INTO idempotency_keys (operation, key, fingerprint) VALUES ('POST /orders', 'k', sha256('body'))";
    shop.pool.execute(key).await.unwrap();

    let now = [&broker::MIGRATIONS, &web::MIGRATIONS, &after];
    let refused = verify("order", &now, &shop.pool).await.unwrap_err().to_string();
    assert!(refused.ends_with("run: order migrate"), "{refused}");
    for _ in 0..2 {
        migrate(&now).await;
        verify("order", &now, &shop.pool).await.unwrap();
    }
    let keys = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM idempotency_keys").fetch_one(&shop.pool);
    assert_eq!(keys.await.unwrap(), 1, "the upgrade keeps the keys");
    // The deployment is taken back.
    migrate(&[&broker::MIGRATIONS, &before]).await;
    verify("order", &[&broker::MIGRATIONS, &before], &shop.pool).await.unwrap();
}

#[tokio::test]
async fn the_service_writes_rows_and_nothing_else() {
    let shop = shop("rights").await;
    migrate(&[&broker::MIGRATIONS, &orders()], &shop.owner, &shop.service).await.unwrap();
    for allowed in [
        "INSERT INTO orders (note) VALUES ('a')",
        "UPDATE orders SET note = 'b'",
        "DELETE FROM orders",
        "INSERT INTO gateway.charges VALUES (1)",
        "SELECT count(*) FROM broker.outbox",
        "SELECT version FROM _sqlx_migrations",
    ] {
        shop.pool.execute(allowed).await.unwrap();
    }
    for refused in [
        "TRUNCATE orders",
        "ALTER TABLE orders ADD x int",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "DELETE FROM _sqlx_migrations",
        "DELETE FROM broker._sqlx_migrations",
    ] {
        let error = shop.pool.execute(refused).await.expect_err(refused);
        assert_eq!(sqlstate::code(&error).as_deref(), Some("42501"), "{refused}");
    }
}

#[tokio::test]
async fn statements_of_the_service_are_bounded() {
    let shop = shop("timeouts").await;
    migrate(&[&orders()], &shop.owner, &shop.service).await.unwrap();
    for (name, value) in
        [("statement_timeout", "10s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "5s")]
    {
        let setting = sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(name);
        assert_eq!(setting.fetch_one(&shop.pool).await.unwrap(), value);
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_waited_for() {
    let database = Database::new("DATABASE_URL", &url("postgres", "nowhere"), "order").unwrap();
    let error = database.wait(&CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("DATABASE_URL: Postgres at ") && error.contains("nowhere"), "{error}");
}
