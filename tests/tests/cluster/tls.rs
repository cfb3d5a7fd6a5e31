//! TLS and SCRAM towards Kafka, which need programs with the feature `broker/tls`.

use std::path::Path;
use std::sync::Arc;

use system_tests::Shop;
use testkit::{Builder, Certificate, Home, Scratch, Servers, System, users};

fn with_tls(servers: &Arc<Servers>, authority: &Path) -> Builder {
    let builder = System::builder().built().servers(Arc::clone(servers));
    let builder = builder.env_all("KAFKA_SECURITY_PROTOCOL", "SASL_SSL");
    let builder = builder.env_all("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512");
    builder.env_all("KAFKA_SSL_CA_LOCATION", authority.display().to_string())
}

async fn servers(folder: &Scratch, is_expired: bool) -> (Arc<Servers>, Certificate) {
    let certificate = Certificate::create(folder.dir(), is_expired).await.unwrap();
    let servers = Servers::guarded(users::all(&[]).unwrap(), certificate.login()).await.unwrap();
    (servers, certificate)
}

/// Returns what `payment migrate` says with these settings.
async fn migrate(shop: &Shop, settings: &[(&str, &str)]) -> String {
    let mut command = shop.system.command("payment");
    command.env("MIGRATE_DATABASE_URL", shop.system.database_url("payment")).arg("migrate");
    let output = command.envs(settings.iter().copied()).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
#[ignore = "needs --features broker/tls: ./scripts/test-cluster"]
async fn the_system_works_with_scram_over_tls_and_names_what_is_wrong() {
    let home = Home::find().unwrap();
    let folder = Scratch::new(&home).unwrap();
    let (servers, certificate) = servers(&folder, false).await;
    let shop = Shop::with(with_tls(&servers, &certificate.authority)).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;

    let refused = migrate(&shop, &[("KAFKA_SASL_PASSWORD", "s3cret-and-wrong")]).await;
    assert!(
        refused.contains("the user or the password is wrong") && !refused.contains("s3cret"),
        "{refused}"
    );
    let other = Scratch::new(&home).unwrap();
    let stranger = Certificate::create(other.dir(), false).await.unwrap();
    let authority = stranger.authority.display().to_string();
    let refused = migrate(&shop, &[("KAFKA_SSL_CA_LOCATION", &authority)]).await;
    assert!(refused.contains("the broker's certificate is not valid"), "{refused}");
    let refused = migrate(&shop, &[("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")]).await;
    assert!(refused.contains("KAFKA_SSL_CA_LOCATION is set, but KAFKA_SECURITY_PROTOCOL"), "{refused}");
    let plain = [("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"), ("KAFKA_SSL_CA_LOCATION", "")];
    let refused = migrate(&shop, &plain).await;
    assert!(refused.contains("the brokers expect another KAFKA_SECURITY_PROTOCOL"), "{refused}");
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
#[ignore = "needs --features broker/tls: ./scripts/test-cluster"]
async fn an_expired_certificate_is_named() {
    let home = Home::find().unwrap();
    let (good, old) = (Scratch::new(&home).unwrap(), Scratch::new(&home).unwrap());
    let (servers_now, certificate) = servers(&good, false).await;
    let (servers_then, expired) = servers(&old, true).await;
    let shop = Shop::with(with_tls(&servers_now, &certificate.authority)).await;
    let authority = expired.authority.display().to_string();
    let brokers = servers_then.guarded_brokers().unwrap();
    let refused = migrate(&shop, &[("KAFKA_BROKERS", &brokers), ("KAFKA_SSL_CA_LOCATION", &authority)]).await;
    assert!(refused.contains("the broker's certificate is not valid: it is expired"), "{refused}");
}

/// Returns the errors of `up` on the cluster with this login, which must fail.
async fn up(servers: &Servers, authority: &Path, user: &str, password: &str) -> String {
    let home = Home::find().unwrap();
    let data = Scratch::new(&home).unwrap();
    let mut command = tokio::process::Command::new(home.binary("stack"));
    command.args(["up", "--detach"]).env("STACK_DATA", data.dir()).env("PORT_BASE", "17000");
    command
        .env("KAFKA_BROKERS", servers.guarded_brokers().unwrap())
        .env("POSTGRES_URL", servers.postgres_url());
    command.env("KAFKA_SECURITY_PROTOCOL", "SASL_SSL").env("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512");
    command.env("KAFKA_SASL_USERNAME", user).env("KAFKA_SASL_PASSWORD", password);
    let output = command.env("KAFKA_SSL_CA_LOCATION", authority).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
#[ignore = "needs --features broker/tls: ./scripts/test-cluster"]
async fn up_says_what_is_wrong_with_the_credentials() {
    let folder = Scratch::new(&Home::find().unwrap()).unwrap();
    let (servers, certificate) = servers(&folder, false).await;
    let said = up(&servers, &certificate.authority, "order", "wrong").await;
    assert!(said.contains("the user or the password is wrong: check KAFKA_SASL_USERNAME"), "{said}");
    // The login is right, and the user may do nothing yet.
    let said = up(&servers, &certificate.authority, "order", &users::password("order")).await;
    assert!(said.contains("the ACLs forbid"), "{said}");
}
