//! The private servers: killed, frozen and restarted as the system tests do.

use sqlx::{Connection as _, Executor as _, PgConnection};
use stack::secrets::Secrets;
use stack::{Servers, provision, topics};
use std::time::Duration;

#[tokio::test]
async fn killed_servers_restart_with_their_data() {
    let servers = Servers::private().await.unwrap();
    let mut connection = PgConnection::connect(servers.postgres_url()).await.unwrap();
    connection.execute("CREATE TABLE kept (); INSERT INTO kept DEFAULT VALUES").await.unwrap();

    let (kafka, postgres) = (servers.kafka().unwrap(), servers.postgres().unwrap());
    kafka.kill();
    postgres.kill();
    assert_eq!(kafka.end().unwrap(), "died (signal 9)");
    assert!(PgConnection::connect(servers.postgres_url()).await.is_err());
    tokio::try_join!(kafka.start(), postgres.start()).unwrap();

    let mut connection = PgConnection::connect(servers.postgres_url()).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 1);
    assert!(topics::list(servers.brokers(), "none").await.unwrap().is_empty());
    assert!(kafka.stop(Duration::from_secs(20)).await, "Kafka stops on its signal");
    assert!(postgres.stop(Duration::from_secs(20)).await, "Postgres stops on its signal");
}

#[tokio::test]
async fn a_frozen_postgres_does_not_answer_until_it_is_thawed() {
    let servers = Servers::private().await.unwrap();
    let mut connection = PgConnection::connect(servers.postgres_url()).await.unwrap();
    let postgres = servers.postgres().unwrap();
    postgres.freeze();
    let asked = tokio::time::timeout(Duration::from_millis(300), connection.ping()).await;
    assert!(asked.is_err(), "the session's own process is frozen too");
    postgres.thaw();
    connection.ping().await.unwrap();
}

#[tokio::test]
async fn a_service_has_a_database_of_its_own_and_no_other() {
    let servers = Servers::shared().await.unwrap();
    let url = servers.postgres_url();
    let mut admin = provision::connect(url).await.unwrap();
    let mut secrets = Secrets::default();
    let mut accesses = Vec::new();
    for _twice in 0..2 {
        accesses.clear();
        for service in ["one", "other"] {
            provision::provision(&mut admin, "t_rights", service, &mut secrets).await.unwrap();
            accesses.push(provision::access(url, "t_rights", service, &mut secrets).unwrap());
        }
    }
    let mut owner = PgConnection::connect(&accesses[0].migrate_database_url).await.unwrap();
    owner.execute("CREATE TABLE secret ()").await.unwrap();
    let mut service = PgConnection::connect(&accesses[0].database_url).await.unwrap();
    assert!(service.execute("CREATE TABLE mine ()").await.is_err(), "the service creates nothing");
    assert!(service.execute("SELECT FROM secret").await.is_err(), "the service reads only granted tables");
    let others = accesses[0].database_url.replace("/t_rights_one", "/t_rights_other");
    assert_ne!(others, accesses[0].database_url);
    assert!(
        PgConnection::connect(&others).await.is_err(),
        "the service cannot connect to another service's database"
    );
    drop((owner, service));
    provision::remove(&mut admin, "t_rights", &["one".to_owned(), "other".to_owned()]).await.unwrap();
}
