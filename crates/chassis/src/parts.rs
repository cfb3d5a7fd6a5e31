//! Puts a service's parts together, to run them or to use some of them for an operator's command.

use anyhow::{Context as _, bail};
use broker::{MIGRATIONS, Outbox};
use clap::Args;

use crate::commands::Cli;
use crate::database::{self, Database};
use crate::service::{Context, Parts, Service};
use crate::settings::Common;

/// What the broker must know, from the settings.
pub(crate) fn broker_settings(name: &str, common: &Common) -> broker::Settings {
    broker::Settings {
        service: name.to_owned(),
        program: common.program(name),
        brokers: common.kafka_brokers.clone(),
        prefix: common.topic_prefix.clone(),
        partitions: common.topic_partitions,
        retention: common.topic_retention.time(),
        instance: common.instance.clone(),
        outbox_limit: common.outbox_limit,
        dead_letter_limit: common.dead_letter_limit,
    }
}

/// The parts of a service on `outbox`; nothing runs yet.
pub(crate) fn wire<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    outbox: &Outbox,
) -> anyhow::Result<Parts> {
    (service.wire)(Context { config: cli.config.clone(), common: cli.common.clone(), outbox: outbox.clone() })
}

/// Whether the settings are such that the parts can be put together; nothing is asked and nothing runs.
pub(crate) fn check<C: Args + Clone>(service: &Service<C>, cli: &Cli<C>) -> anyhow::Result<()> {
    lazily(service, cli).map(drop)
}

/// The parts for a command that needs the database now: it does not wait for it.
pub(crate) async fn without_running<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
) -> anyhow::Result<(Parts, Outbox, broker::Settings)> {
    let (parts, outbox, settings) = lazily(service, cli)?;
    database::verify(&settings.program, &[&MIGRATIONS, service.migrations], outbox.pool())
        .await
        .context("the database cannot be used")?;
    Ok((parts, outbox, settings))
}

/// The parts, connected to nothing yet.
fn lazily<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
) -> anyhow::Result<(Parts, Outbox, broker::Settings)> {
    let settings = broker_settings(service.name, &cli.common);
    let pool = Database::new("DATABASE_URL", cli.common.database_url()?, service.name)?.pool();
    let outbox = Outbox::new(pool, &settings);
    Ok((wire(service, cli, &outbox)?, outbox, settings))
}

/// Refuses a topic that is none of `known`, and says which ones are.
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
