//! What `up` does before the services start, step by step.

use crate::local::{Local, run_dir, secrets};
use crate::screen::{Step, say};
use stack::ready::Ready;
use stack::service::wait_consuming;
use stack::{Daemon, Home, home, maven, ports, provision, topics};
use std::time::Duration;

/// A service that does not read its topics by then gets a line; the others go on.
const JOINING: Duration = Duration::from_secs(30);

/// Refuses a port that somebody else holds, before anything is started.
pub(crate) fn require_ports(home: &Home, local: &Local) -> anyhow::Result<()> {
    if local.given_brokers.is_none() {
        ports::require_free(local.ports.kafka(), "Kafka")?;
        ports::require_free(local.ports.controller(), "Kafka's controller")?;
    }
    if local.given_postgres.is_none() {
        ports::require_free(local.ports.postgres(), "Postgres")?;
    }
    for name in home.services()? {
        let doors = local.doors(home, &name)?;
        ports::require_free(doors.http, &name)?;
        ports::require_free(doors.ops, &format!("{name}'s health and metrics"))?;
    }
    Ok(())
}

/// Refuses settings with which a service would not start.
pub(crate) async fn check_settings(home: &Home, local: &Local) -> anyhow::Result<()> {
    for name in home.services()? {
        local.service(home, &name)?.check(home).await?;
    }
    Ok(())
}

/// The private servers, started together; those that were given must answer.
pub(crate) async fn servers(home: &Home, local: &Local) -> anyhow::Result<Vec<Daemon>> {
    if let Some(brokers) = &local.given_brokers {
        let answer = Ready::Kafka(brokers.clone()).ask().await;
        answer.map_err(|why| anyhow::anyhow!("the Kafka of KAFKA_BROKERS does not answer: {why}"))?;
    }
    if let Some(url) = &local.given_postgres {
        let answer = Ready::Postgres(url.clone()).ask().await;
        answer.map_err(|why| anyhow::anyhow!("the Postgres of POSTGRES_URL does not answer: {why}"))?;
    }
    if local.given_brokers.is_some() && local.given_postgres.is_some() {
        return Ok(Vec::new());
    }
    let installed = maven::install(home, |what| say(format_args!("  … {what}"))).await?;
    let kafka = async {
        let step = Step::begin("starting Kafka");
        let daemon = local.kafka(home, &installed).await?;
        daemon.start().await?;
        step.done(format_args!("Kafka is ready on {}", local.brokers()));
        anyhow::Ok(daemon)
    };
    let postgres = async {
        let step = Step::begin("starting Postgres");
        let daemon = local.postgres(home, &installed).await?;
        daemon.start().await?;
        step.done(format_args!("Postgres is ready on 127.0.0.1:{}", local.ports.postgres()));
        anyhow::Ok(daemon)
    };
    match (&local.given_brokers, &local.given_postgres) {
        (None, None) => tokio::try_join!(kafka, postgres).map(|(kafka, postgres)| vec![kafka, postgres]),
        (None, _) => Ok(vec![kafka.await?]),
        _ => Ok(vec![postgres.await?]),
    }
}

/// Databases and roles, then every service's own migrations.
pub(crate) async fn databases(home: &Home, local: &Local) -> anyhow::Result<()> {
    let step = Step::begin("databases, migrations and topics");
    let url = local.postgres_url(home)?;
    let mut admin = provision::connect(&url).await?;
    let mut services = Vec::new();
    for name in home.services()? {
        provision::provision(&mut admin, &local.database_prefix(), &name, &mut secrets(home)?).await?;
        services.push(local.service(home, &name)?);
    }
    futures::future::try_join_all(services.iter().map(|service| service.migrate(home))).await?;
    step.done("migrated");
    Ok(())
}

/// Waits until a service reads all its topics; goes on with a line when it does not.
pub(crate) async fn consuming(home: &Home, local: &Local, name: &str) -> anyhow::Result<()> {
    if let Err(why) = wait_consuming(local.doors(home, name)?, JOINING).await {
        say(format_args!("  ! {name} does not read its topics yet ({why}); see ./scripts/logs {name}"));
    }
    Ok(())
}

/// Deletes what earlier runs left on this machine; the unpacked servers and the secrets stay.
pub(crate) fn delete_data(home: &Home, local: &Local) -> anyhow::Result<()> {
    say("  … deleting the data of earlier runs");
    if local.given_brokers.is_none() {
        home::remove_dir(&home.data("kafka"))?;
    }
    // Beside a Kafka that was given, our Postgres is asked first which topics there are ours.
    if local.given_postgres.is_none() && local.given_brokers.is_none() {
        home::remove_dir(&home.reachable(&home.data("postgres"))?)?;
    }
    _ = std::fs::remove_file(local.seed_marker(home));
    for entry in std::fs::read_dir(run_dir(home))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log" || extension == "old") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Deletes this system's databases and topics on servers that were given, and nothing else there.
pub(crate) async fn delete_on_given_servers(home: &Home, local: &Local) -> anyhow::Result<()> {
    let services = home.services()?;
    if local.given_brokers.is_some() {
        let mut names: Vec<String> = services.iter().map(|name| format!("dlq.{name}")).collect();
        for name in &services {
            let url = local.service(home, name)?.access.migrate_database_url;
            // A database that is not there yet knows of no topics.
            names.extend(stack::settled::topics(&url).await.unwrap_or_default());
        }
        names.sort();
        names.dedup();
        topics::delete(&local.brokers(), &local.topic_prefix, &names).await?;
    }
    if local.given_postgres.is_some() || local.given_brokers.is_some() {
        let mut admin = provision::connect(&local.postgres_url(home)?).await?;
        provision::remove(&mut admin, &local.database_prefix(), &services).await?;
    }
    Ok(())
}
