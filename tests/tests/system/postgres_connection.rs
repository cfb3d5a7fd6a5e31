//! How the services connect to Postgres: with TLS that checks the server, and never through a pooler that mixes sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::{Shop, eventually};
use testkit::{Home, Scratch, Servers, System};
use tokio::process::Command;

/// Starts a private Postgres, to be used with the shared Kafka.
async fn postgres() -> (Servers, String) {
    let brokers = Servers::shared().await.unwrap().brokers().to_owned();
    (Servers::start(Some(brokers.clone()), None).await.unwrap(), brokers)
}

/// Runs openssl in a folder.
async fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments.split_whitespace()).current_dir(folder).output().await;
    let output = output.expect("this test needs the program openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Creates an authority: `NAME.pem` and `NAME.key`.
async fn authority(folder: &Path, name: &str) -> PathBuf {
    let new = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj";
    openssl(folder, &format!("{new} /CN={name} -keyout {name}.key -out {name}.pem")).await;
    folder.join(format!("{name}.pem"))
}

/// Turns TLS on in a Postgres, with a certificate for 127.0.0.1 that the authority `ca` signs.
async fn turn_tls_on(admin_url: &str, folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName = IP:127.0.0.1").unwrap();
    openssl(folder, "req -new -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out request")
        .await;
    let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names";
    openssl(folder, &format!("{sign} -in request -out server.crt")).await;
    let mut admin = PgConnection::connect(admin_url).await.unwrap();
    for name in ["server.key", "server.crt"] {
        // Postgres writes the files itself, because it may run as another user and its key must be its own.
        let pem = std::fs::read_to_string(folder.join(name)).unwrap();
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", pem.trim());
        let copy = format!("COPY ({lines}) TO PROGRAM 'umask 077 && cat > {name}'");
        admin.execute(AssertSqlSafe(copy)).await.unwrap();
    }
    admin.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("Postgres offers TLS", async || {
        PgConnection::connect(&format!("{admin_url}?sslmode=require")).await.ok()
    })
    .await;
}

/// Returns what `payment migrate` says when both of its URLs are changed like this.
async fn refusal_of_migrate(shop: &Shop, change: impl Fn(&str) -> String) -> String {
    let mut command = shop.system.command("payment");
    command.env("MIGRATE_DATABASE_URL", change(shop.system.database_url("payment"))).arg("migrate");
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn services_check_the_certificate_of_postgres_and_say_what_is_wrong_with_it() {
    let (postgres, brokers) = postgres().await;
    let folder = Scratch::new(&Home::find().unwrap()).unwrap();
    let (right, wrong) = (authority(folder.dir(), "ca").await, authority(folder.dir(), "stranger").await);
    turn_tls_on(postgres.postgres_url(), folder.dir()).await;
    let file = folder.dir().join("trusted.pem");
    std::fs::copy(&right, &file).unwrap();
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", postgres.postgres_url(), file.display());
    let servers = Servers::start(Some(brokers), Some(url)).await.unwrap();
    let shop = Shop::with(System::builder().servers(Arc::new(servers))).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;

    let to = |path: &Path| path.display().to_string().replace('/', "%2F");
    let refused = refusal_of_migrate(&shop, |url| url.replace(&to(&file), &to(&wrong))).await;
    assert!(refused.contains("MIGRATE_DATABASE_URL: no connection to Postgres at 127.0.0.1:"), "{refused}");
    assert!(
        refused.contains("UnknownIssuer") && refused.contains("check that the file at sslrootcert"),
        "{refused}"
    );
    let refused = refusal_of_migrate(&shop, |url| url.replace("127.0.0.1", "localhost")).await;
    assert!(refused.contains("not valid for name") && refused.contains("the host of the URL"), "{refused}");
    let refused = refusal_of_migrate(&shop, |url| url.replace(&to(&file), "%2Fnowhere")).await;
    assert!(
        refused.contains("cannot be read") && refused.contains("check sslmode, sslrootcert"),
        "{refused}"
    );

    let payment = shop.system.service("payment");
    payment.kill();
    std::fs::copy(&wrong, &file).unwrap();
    payment.spawn().unwrap();
    eventually("the service names the wrong authority and waits", async || {
        let (_, health) = shop.health("payment", 1, "ready").await?;
        let said =
            health["checks"]["database"]["detail"].as_str()?.contains("check that the file at sslrootcert");
        (said && payment.output().contains("DATABASE_URL: no connection to Postgres")).then_some(())
    })
    .await;
    std::fs::copy(&right, &file).unwrap();
    payment.wait_ready().await.unwrap();
    shop.system.quiesce().await.unwrap();
}

/// Returns a system whose payment service has not started, and an administrator's connection to the database of that service.
async fn before_payment() -> (Shop, PgConnection) {
    let servers = Arc::new(postgres().await.0);
    let shop = Shop::with(System::builder().servers(Arc::clone(&servers)).not_started("payment")).await;
    let (server, _) = servers.postgres_url().rsplit_once('/').unwrap();
    let (_, database) = shop.system.service_database_url("payment").rsplit_once('/').unwrap();
    let admin = PgConnection::connect(&format!("{server}/{database}")).await.unwrap();
    (shop, admin)
}

/// Runs a statement at the begin of each new session of the database.
async fn at_login(admin: &mut PgConnection, statement: &str) {
    let function = "FUNCTION at_login() RETURNS event_trigger LANGUAGE plpgsql";
    let trigger = "EVENT TRIGGER at_login ON login EXECUTE FUNCTION at_login()";
    let sql = format!("CREATE {function} AS $$ BEGIN {statement}; END $$; CREATE {trigger}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await.unwrap();
}

async fn as_before(admin: &mut PgConnection) {
    sqlx::raw_sql("DROP EVENT TRIGGER at_login").execute(admin).await.unwrap();
}

#[tokio::test]
async fn a_service_refuses_to_start_where_connections_share_sessions() {
    let (shop, mut admin) = before_payment().await;
    // As a pooler in transaction mode does, Postgres gives the connection a session with a statement of another one.
    at_login(&mut admin, "EXECUTE 'PREPARE sqlx_s_1 AS SELECT 1'").await;
    let payment = shop.system.service("payment");
    payment.spawn().unwrap();
    eventually("the service ends", async || payment.end()).await;
    let said = payment.output();
    assert!(
        said.contains("DATABASE_URL leads to a pooler in transaction mode: use its session mode"),
        "{said}"
    );
    as_before(&mut admin).await;
}

#[tokio::test]
async fn a_service_that_starts_waits_for_a_slow_postgres() {
    let (shop, mut admin) = before_payment().await;
    // Longer than the pool waits for a connection.
    at_login(&mut admin, "PERFORM pg_sleep(3)").await;
    let payment = shop.system.service("payment");
    payment.spawn().unwrap();
    eventually("the service waits", async || payment.output().contains("waiting for Postgres").then_some(()))
        .await;
    as_before(&mut admin).await;
    payment.wait_ready().await.unwrap();
}
