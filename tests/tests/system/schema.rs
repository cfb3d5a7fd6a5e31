//! The grants and constraints in the databases.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::Shop;

/// Returns the SQLSTATE with which Postgres refuses a statement, in a transaction that is rolled back.
async fn refusal(database_url: &str, statement: &str) -> String {
    let mut database = PgConnection::connect(database_url).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let refused = tx.execute(AssertSqlSafe(statement.to_owned())).await.expect_err(statement);
    refused
        .as_database_error()
        .unwrap_or_else(|| panic!("{statement}: {refused}"))
        .code()
        .unwrap()
        .into_owned()
}

/// Returns a table that the migrations of a service created.
async fn a_table_of(database_url: &str) -> String {
    let mut database = PgConnection::connect(database_url).await.unwrap();
    let tables =
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
                  ORDER BY tablename LIMIT 1";
    sqlx::query_scalar(tables).fetch_one(&mut database).await.unwrap()
}

const NO_RIGHT: &str = "42501";
const NOT_UNIQUE: &str = "23505";
const CHECK: &str = "23514";
const NO_SUCH_ROW: &str = "23503";

#[tokio::test]
async fn a_service_may_only_write_rows_in_its_own_database() {
    let shop = Shop::open().await;
    for service in shop.system.services() {
        let url = shop.system.service_database_url(service);
        let table = a_table_of(shop.system.database_url(service)).await;
        assert_ne!(url, shop.system.database_url(service), "the migrator is another role");
        for statement in [
            format!("TRUNCATE {table}"),
            format!("DROP TABLE {table}"),
            format!("ALTER TABLE {table} ADD COLUMN more text"),
            format!("CREATE INDEX ON {table} ((1))"),
            format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
            "CREATE TABLE mine (id int)".to_owned(),
            "CREATE TEMPORARY TABLE mine (id int)".to_owned(),
            "CREATE SCHEMA mine".to_owned(),
            "CREATE EXTENSION hstore".to_owned(),
            "DELETE FROM _sqlx_migrations".to_owned(),
            "UPDATE broker._sqlx_migrations SET success = false".to_owned(),
            "CREATE ROLE mine".to_owned(),
            "COPY (SELECT 1) TO '/tmp/stolen'".to_owned(),
            "SELECT pg_read_file('/etc/hostname')".to_owned(),
        ] {
            assert_eq!(refusal(url, &statement).await, NO_RIGHT, "{service}: {statement}");
        }
        for other in shop.system.services().filter(|other| *other != service) {
            let database = shop.system.database_url(other).rsplit('/').next().unwrap();
            let elsewhere = format!("{}/{database}", url.rsplit_once('/').unwrap().0);
            let refused = PgConnection::connect(&elsewhere).await.expect_err(other);
            let code = refused.as_database_error().expect(other).code().unwrap().into_owned();
            assert_eq!(code, NO_RIGHT, "{service} in the database of {other}: {refused}");
        }
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn the_schemas_refuse_rows_that_violate_an_invariant() {
    let shop = Shop::open().await;
    shop.stock("MUG", 5).await;
    let placed = shop.order("MUG", 2, "pm_card_visa").await;
    shop.confirmed(&placed.id).await;
    shop.notified(&placed.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
    let twice = |table: &str, key: &str| {
        format!("INSERT INTO {table} SELECT * FROM {table} WHERE {key} = '{}'", placed.id)
    };
    for (service, code, statement) in [
        ("inventory", CHECK, "UPDATE stock SET on_hand = -1".to_owned()),
        ("inventory", CHECK, "UPDATE stock SET reserved = on_hand + 1".to_owned()),
        ("inventory", CHECK, "UPDATE stock SET on_hand = on_hand + 1".to_owned()),
        ("inventory", CHECK, "UPDATE stock SET committed = committed - 1".to_owned()),
        ("inventory", CHECK, "UPDATE products SET amount = -1".to_owned()),
        ("inventory", NO_SUCH_ROW, "INSERT INTO stock (sku, version) VALUES ('NONE', 1)".to_owned()),
        ("inventory", NOT_UNIQUE, twice("reservations", "order_id")),
        ("inventory", CHECK, "UPDATE reservations SET status = 'lost'".to_owned()),
        ("payment", NOT_UNIQUE, twice("payments", "id")),
        ("payment", CHECK, "UPDATE payments SET amount = -1".to_owned()),
        ("payment", CHECK, "UPDATE payments SET status = 'lost'".to_owned()),
        ("payment", CHECK, "UPDATE payments SET goal = 'more'".to_owned()),
        ("order", NOT_UNIQUE, twice("orders", "id")),
        ("order", CHECK, "UPDATE orders SET status = 'lost'".to_owned()),
        ("order", CHECK, "UPDATE orders SET status = 'cancelled'".to_owned()),
        ("order", CHECK, "UPDATE customers SET email = NULL".to_owned()),
        (
            "order",
            NOT_UNIQUE,
            "INSERT INTO customers (id, email, registered_at, version)
             SELECT gen_random_uuid(), email, registered_at, 1 FROM customers"
                .to_owned(),
        ),
        (
            "notification",
            NOT_UNIQUE,
            "INSERT INTO deliveries (id, kind, channel, order_id, data)
             SELECT gen_random_uuid(), kind, channel, order_id, data FROM deliveries"
                .to_owned(),
        ),
        ("notification", CHECK, "UPDATE deliveries SET status = 'pending'".to_owned()),
        ("notification", CHECK, "UPDATE contacts SET email = NULL".to_owned()),
    ] {
        let url = shop.system.service_database_url(service);
        assert_eq!(refusal(url, &statement).await, code, "{service}: {statement}");
    }
    shop.system.quiesce().await.unwrap();
}
