//! `SERVICE migrate`: the schema, the role's time-outs, older rows and the topics.

use anyhow::Context as _;
use broker::Outbox;
use broker_ops::topics;

use crate::database::{self, Database};
use crate::parts::broker_settings;
use crate::service::Service;
use crate::settings::Common;

pub(crate) async fn migrate<C>(service: &Service<C>, common: &Common) -> anyhow::Result<()> {
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
    topics::create(&settings, service.topics).await?;
    tracing::info!("the topics are up to date");
    Ok(())
}
