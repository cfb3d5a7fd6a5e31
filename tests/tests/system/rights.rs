//! Users of Kafka with least rights: what each service may do, and what it says when it may not.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;
use system_tests::{Shop, eventually};
use testkit::{Home, Login, Scratch, Servers, System, cluster, users};

const STRANGER: &str = "stranger";
const TIMEOUT: Duration = Duration::from_secs(10);

async fn guarded() -> Arc<Servers> {
    Servers::guarded(users::all(&[STRANGER]).unwrap(), Login::default()).await.unwrap()
}

/// Returns the configuration of a client that logs in with the user's password.
fn client(servers: &Servers, user: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers.guarded_brokers().unwrap())
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", user)
        .set("sasl.password", users::password(user));
    config
}

/// Returns why the user may not see a topic; `None`: it may. Kafka lets everyone who may read or write a topic see it.
async fn seeing(servers: &Servers, user: &str, topic: String) -> Option<RDKafkaErrorCode> {
    let config = client(servers, user);
    let see = move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT).unwrap();
        metadata.topics()[0].error().map(RDKafkaErrorCode::from)
    };
    tokio::task::spawn_blocking(see).await.unwrap()
}

/// Returns why the user may not publish to a topic; `None`: it may.
async fn publishing(servers: &Servers, user: &str, topic: &str) -> Option<RDKafkaErrorCode> {
    let mut config = client(servers, user);
    let producer: FutureProducer = config.set("message.timeout.ms", "5000").create().unwrap();
    let record = FutureRecord::to(topic).key("forged").payload("{}");
    producer.send(record, TIMEOUT).await.err().and_then(|(error, _)| error.rdkafka_error_code())
}

async fn consuming(shop: &Shop, service: &str) -> Option<Value> {
    Some(shop.health(service, 1, "consuming").await?.1)
}

#[tokio::test]
async fn each_service_works_with_the_rights_that_it_prints_and_others_are_refused() {
    let servers = guarded().await;
    let shop = Shop::with(System::builder().servers(Arc::clone(&servers))).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    shop.notified(&order.id, "order_confirmed").await;
    for service in shop.system.services() {
        let health = consuming(&shop, service).await.unwrap();
        assert_eq!(health["ok"], true, "{service}: {health}");
        assert_eq!(health["checks"]["topics"]["detail"], Value::Null, "{service}: {health}");
    }

    let forbidden = Some(RDKafkaErrorCode::TopicAuthorizationFailed);
    let topic = |name: &str| shop.system.topic(name);
    assert_eq!(seeing(&servers, "order", topic("payments")).await, None);
    assert_eq!(seeing(&servers, "payment", topic("customers")).await, forbidden);
    assert_eq!(publishing(&servers, "inventory", &topic("payments")).await, forbidden);
    assert_eq!(seeing(&servers, STRANGER, topic("orders")).await, forbidden);
    assert_eq!(publishing(&servers, STRANGER, &topic("orders")).await, forbidden);
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_right_are_named_and_a_new_password_needs_no_restart() {
    let servers = guarded().await;
    let folder = Scratch::new(&Home::find().unwrap()).unwrap();
    let file = folder.dir().join("password");
    std::fs::write(&file, "s3cret-and-wrong").unwrap();
    let builder = System::builder().servers(Arc::clone(&servers)).not_started("payment");
    // The file replaces the password that testkit sets; an empty variable counts as unset.
    let builder = builder.env("payment", "KAFKA_SASL_PASSWORD", "");
    let shop =
        Shop::with(builder.env("payment", "KAFKA_SASL_PASSWORD_FILE", file.display().to_string())).await;
    shop.system.leave_queues();
    let payment = shop.system.service("payment");
    payment.start().await.unwrap();
    eventually("the service says that the password is wrong", async || {
        let said = consuming(&shop, "payment").await?["checks"]["kafka"]["detail"].as_str()?.to_owned();
        said.starts_with("the user or the password is wrong: check KAFKA_SASL_USERNAME").then_some(())
    })
    .await;
    let lines = "Kafka refuses the connection: the user or the password is wrong";
    eventually("the log has one line about it", async || {
        (payment.output().matches(lines).count() == 1).then_some(())
    })
    .await;

    let mut rewind = shop.system.command("payment");
    let rewind = rewind.args(["rewind", "orders", "--to", "end"]).output().await.unwrap();
    let refused = String::from_utf8(rewind.stderr).unwrap();
    assert!(
        refused.starts_with("payment: Kafka refuses the connection: the user or the password"),
        "{refused}"
    );

    std::fs::write(&file, users::password("payment")).unwrap();
    eventually("the service consumes with the new password", async || {
        (consuming(&shop, "payment").await?["ok"] == true).then_some(())
    })
    .await;
    assert!(!payment.output().contains("s3cret-and-wrong"), "the log holds a password");

    let forbidden = users::rights(&shop.system, "payment", &[]).await.unwrap();
    let writes: Vec<_> = forbidden.into_iter().filter(|right| right.to_string().contains("Write")).collect();
    users::withdraw(&shop.system, &writes).await.unwrap();
    shop.stock("MUG", 5).await;
    shop.order("MUG", 1, "pm_card_visa").await;
    eventually("the relay names the missing right", async || {
        let health = consuming(&shop, "payment").await?;
        let said = health["checks"]["relay"]["detail"]["refused"].as_str()?.to_owned();
        (said.contains("the ACLs forbid it") && said.contains("payment acls")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn running_clients_take_a_changed_password_from_its_file() {
    let servers = guarded().await;
    let folder = Scratch::new(&Home::find().unwrap()).unwrap();
    let mut builder = System::builder().with_board().servers(Arc::clone(&servers));
    for user in ["payment", "board"] {
        let file = folder.dir().join(user);
        std::fs::write(&file, users::password(user)).unwrap();
        builder = builder.env(user, "KAFKA_SASL_PASSWORD", "");
        builder = builder.env(user, "KAFKA_SASL_PASSWORD_FILE", file.display().to_string());
    }
    let shop = Shop::with(builder).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;

    for user in ["payment", "board"] {
        std::fs::write(folder.dir().join(user), "rotated").unwrap();
        cluster::change_password(&servers, user, &users::password(user), "rotated").await.unwrap();
    }
    let order = shop.order("MUG", 1, "pm_card_visa").await;
    shop.confirmed(&order.id).await;
    eventually("the board shows the confirmation", async || {
        let answer = shop.http().get(shop.at("board", &format!("/orders/{}", order.id))).send().await.ok()?;
        answer.text().await.ok()?.contains("/events/payments/").then_some(())
    })
    .await;
    for user in ["payment", "board"] {
        eventually("no check fails", async || (consuming(&shop, user).await?["ok"] == true).then_some(()))
            .await;
    }
    shop.system.quiesce().await.unwrap();
}
