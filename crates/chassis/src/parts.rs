//! Creates a service's parts, for the running service or for an operator's command.

use anyhow::{Context as _, bail};
use broker::Outbox;

use crate::database::{self, Database};
use crate::service::{Cli, Parts, Service};
use crate::settings::Common;

pub(crate) fn broker_settings(name: &str, common: &Common) -> broker::Settings {
    broker::Settings {
        service: name.to_owned(),
        program: common.program(name),
        brokers: common.kafka_brokers.clone(),
        connection: common.connection.clone(),
        prefix: common.topic_prefix.clone(),
        partitions: common.topic_partitions,
        retention: common.topic_retention.time(),
        replication: common.topic_replication,
        min_insync_replicas: common.topic_min_insync_replicas,
        instance: common.instance.clone(),
        outbox_limit: common.outbox_limit,
        dead_letter_limit: common.dead_letter_limit,
    }
}

/// A service's parts, for a command: none of them runs.
pub(crate) struct Wired {
    pub(crate) parts: Parts,
    pub(crate) outbox: Outbox,
    pub(crate) settings: broker::Settings,
}

/// Creates the parts for a command; fails when the database cannot be used now.
pub(crate) async fn without_running(service: &Service, cli: &Cli) -> anyhow::Result<Wired> {
    let wired = lazily(service, cli)?;
    database::verify(&wired.settings.program, &service.migrators(), wired.outbox.pool())
        .await
        .context("the database cannot be used")?;
    Ok(wired)
}

/// Creates the parts; connects to nothing.
pub(crate) fn lazily(service: &Service, cli: &Cli) -> anyhow::Result<Wired> {
    let settings = broker_settings(service.name, &cli.common);
    let database = Database::new("DATABASE_URL", cli.common.database_url()?, service.name)?;
    let outbox = Outbox::new(database.command_pool(), &settings);
    Ok(Wired { parts: (service.wire.create)(cli, outbox.clone())?, outbox, settings })
}

impl Parts {
    /// Fails when the service does not consume `topic`.
    pub(crate) fn expect_consumed(&self, topic: &str) -> anyhow::Result<()> {
        let consumed = self.subscriptions.iter().map(|subscription| subscription.topic().name);
        expect_one_of(topic, "is not a topic that this service consumes", consumed)
    }
}

/// Fails when `topic` is not one of `known`, and names those.
pub(crate) fn expect_one_of(
    topic: &str,
    refusal: &str,
    known: impl Iterator<Item = &'static str>,
) -> anyhow::Result<()> {
    let known: Vec<&str> = known.collect();
    if !known.contains(&topic) {
        bail!(
            "{topic} {refusal}; those are: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
    }
    Ok(())
}
