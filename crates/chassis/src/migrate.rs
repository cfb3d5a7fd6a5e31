//! `SERVICE migrate`: the schema, the role's time-outs, older rows and the topics.

use anyhow::{Context as _, bail};
use broker::Outbox;
use broker_ops::topics::{self, Difference};
use clap::Args;

use crate::database::{self, Database};
use crate::parts::broker_settings;
use crate::service::Service;
use crate::settings::{Common, Topics};

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Accept a cluster that does not apply the settings of the topics: name the promises that do not hold, and succeed
    #[arg(long)]
    accept_differences: bool,
}

pub(crate) async fn migrate(service: &Service, common: &Common, options: &Options) -> anyhow::Result<()> {
    let owner = Database::new("MIGRATE_DATABASE_URL", common.migrate_database_url()?, service.name)?;
    let own = Database::new("DATABASE_URL", common.database_url()?, service.name)?;
    database::migrate(&service.migrators(), &owner, &own)
        .await
        .context("the database could not be migrated")?;
    tracing::info!("the schema is up to date");
    let settings = broker_settings(service.name, common);
    let outbox = Outbox::new(owner.pool(), &settings);
    for upgrade in service.upgrades {
        let name = upgrade.name;
        upgrade
            .run(&outbox)
            .await
            .with_context(|| format!("{name} could not be upgraded to this version"))?;
        tracing::info!("{name} are upgraded to this version");
    }
    let differences = prepare_topics(&settings, service.topics, common.topics).await?;
    report(&differences, &settings.program, options.accept_differences)
}

/// Creates or only compares the topics, and returns what the cluster does not apply.
async fn prepare_topics(
    settings: &broker::Settings,
    wanted: &[envelope::Topic],
    mode: Topics,
) -> anyhow::Result<Vec<Difference>> {
    match mode {
        Topics::Manage => Ok(topics::create(settings, wanted).await?),
        Topics::Verify => {
            program::print(topics::manifests(settings, wanted).await?.trim_end());
            let found = topics::differences(settings, wanted).await;
            found.context("TOPICS=verify: create the topics as the manifests above say")
        }
    }
}

fn report(differences: &[Difference], program: &str, is_accepted: bool) -> anyhow::Result<()> {
    for difference in differences {
        tracing::warn!("{difference}");
    }
    match differences {
        [] => tracing::info!("the topics are up to date"),
        _ if is_accepted => tracing::warn!(
            "the topics differ from the settings that are wanted; --accept-differences accepts this"
        ),
        all => bail!(
            "the cluster does not apply the settings of the topics: {}. Change the cluster, or accept that these promises \
             do not hold: {program} migrate --accept-differences",
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        ),
    }
    Ok(())
}
