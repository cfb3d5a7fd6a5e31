//! The steps of `up` before the services start.

use crate::local::Local;
use crate::screen::{Step, say};
use stack::process::instance_name;
use stack::ready::Ready;
use stack::service::wait_consuming;
use stack::{Daemon, Guard, home, kafka, maven, ports, provision, topics};
use std::time::Duration;

/// The time within which a service should consume its topics; `up` prints a warning after it.
const JOINING: Duration = Duration::from_secs(30);

/// Fails when another process holds one of the ports.
pub(crate) fn require_ports(local: &Local) -> anyhow::Result<()> {
    if local.given_brokers.is_none() {
        for node in local.node_ids() {
            ports::require_free(local.ports.kafka(node), "Kafka")?;
            ports::require_free(local.ports.controller(node), "Kafka's controller")?;
        }
    }
    if local.given_postgres.is_none() {
        ports::require_free(local.ports.postgres(), "Postgres")?;
    }
    ports::require_free(local.ports.control(), "the board's buttons")?;
    for name in local.home.services()? {
        let endpoints = local.endpoints(&name)?;
        ports::require_free(endpoints.http, &name)?;
        ports::require_free(endpoints.ops, &format!("{name}'s health and metrics"))?;
    }
    Ok(())
}

/// Fails when the settings of a service are invalid.
pub(crate) async fn check_settings(local: &Local) -> anyhow::Result<()> {
    for name in local.home.services()? {
        local.service(&name)?.check().await?;
    }
    Ok(())
}

/// Checks that the external servers answer, and starts the private servers concurrently.
pub(crate) async fn servers(local: &Local) -> anyhow::Result<Vec<Daemon>> {
    if let Some(brokers) = &local.given_brokers {
        let answer = Ready::Kafka(brokers.clone()).ask().await;
        answer.map_err(|why| anyhow::anyhow!("the Kafka at KAFKA_BROKERS does not answer: {why}"))?;
    }
    if let Some(url) = &local.given_postgres {
        let answer = Ready::Postgres(url.clone()).ask().await;
        answer.map_err(|why| anyhow::anyhow!("the Postgres at POSTGRES_URL does not answer: {why}"))?;
    }
    if local.given_brokers.is_some() && local.given_postgres.is_some() {
        return Ok(Vec::new());
    }
    let installed = maven::install(&local.home, |what| say(format_args!("  … {what}"))).await?;
    let kafka = async {
        if local.is_given("kafka") {
            return Ok(Vec::new());
        }
        let step = Step::begin("starting Kafka");
        let nodes = local.node_ids().map(|id| local.kafka_node(id));
        let nodes = nodes.collect::<anyhow::Result<Vec<_>>>()?;
        let (brokers, daemons) = kafka::start(&installed, &nodes).await?;
        step.done(format_args!("Kafka is ready on {brokers}"));
        anyhow::Ok(daemons)
    };
    let postgres = async {
        if local.is_given("postgres") {
            return Ok(None);
        }
        let step = Step::begin("starting Postgres");
        let daemon = local.postgres(&installed).await?;
        daemon.start().await?;
        step.done(format_args!("Postgres is ready on 127.0.0.1:{}", local.ports.postgres()));
        anyhow::Ok(Some(daemon))
    };
    let (mut daemons, postgres) = tokio::try_join!(kafka, postgres)?;
    daemons.extend(postgres);
    Ok(daemons)
}

/// Creates databases and roles, then runs the migrations of every service.
pub(crate) async fn databases(local: &Local, accepts_differences: bool) -> anyhow::Result<()> {
    let step = Step::begin("creating databases, schemas and topics");
    let url = local.postgres_url()?;
    let mut admin = provision::connect(&url).await?;
    let mut services = Vec::new();
    for name in local.home.services()? {
        provision::provision(&mut admin, &local.database_prefix(), &name, &mut local.secrets()?).await?;
        services.push(local.service(&name)?);
    }
    local.grant().await?;
    for service in &mut services {
        service.settings.extend(local.login(Guard::MIGRATOR)?);
    }
    let options: &[&str] = if accepts_differences { &["--accept-differences"] } else { &[] };
    futures::future::try_join_all(services.iter().map(|service| service.migrate(options))).await?;
    step.done("databases, schemas and topics are ready");
    Ok(())
}

/// Waits until a service consumes all its topics; prints a warning when it does not in time.
pub(crate) async fn consuming(local: &Local, name: &str) -> anyhow::Result<()> {
    if let Err(why) = wait_consuming(local.endpoints(name)?, JOINING).await {
        say(format_args!("  ! {name} does not consume its topics yet ({why}); see ./scripts/logs {name}"));
    }
    Ok(())
}

/// Deletes the data of earlier runs on this machine; keeps the unpacked servers and the secrets.
pub(crate) fn delete_data(local: &Local) -> anyhow::Result<()> {
    say("  … deleting the data of earlier runs");
    if local.given_brokers.is_none() {
        for node in 1..=ports::NODES {
            home::remove_dir(&local.home.data(&instance_name("kafka", usize::from(node))))?;
        }
    }
    // With an external Kafka, the private Postgres is needed first: it knows which topics belong to this system.
    if local.given_postgres.is_none() && local.given_brokers.is_none() {
        home::remove_dir(&local.home.reachable(&local.home.data("postgres"))?)?;
    }
    _ = std::fs::remove_file(local.seed_marker());
    for entry in std::fs::read_dir(local.home.run())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log" || extension == "old") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Deletes this system's databases and topics, and nothing else, on external servers.
pub(crate) async fn delete_on_given_servers(local: &Local) -> anyhow::Result<()> {
    let services = local.home.services()?;
    if local.given_brokers.is_some() {
        let mut names: Vec<String> = services.iter().map(|name| format!("dlq.{name}")).collect();
        for name in &services {
            let url = local.service(name)?.access.migrate_database_url;
            // A database that does not exist yet names no topics.
            names.extend(stack::backlog::topics(&url).await.unwrap_or_default());
        }
        names.sort();
        names.dedup();
        topics::delete(&local.brokers(), &local.topic_prefix, &names).await?;
    }
    if local.given_postgres.is_some() || local.given_brokers.is_some() {
        let mut admin = provision::connect(&local.postgres_url()?).await?;
        provision::remove(&mut admin, &local.database_prefix(), &services).await?;
    }
    Ok(())
}
