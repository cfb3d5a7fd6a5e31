//! `SERVICE migrate`: the schema, the role's time-outs and the topics.

use anyhow::Context as _;
use broker::{MIGRATIONS, topics};

use crate::database::{self, Database};
use crate::parts::broker_settings;
use crate::service::Service;
use crate::settings::Common;

pub(crate) async fn migrate<C>(service: &Service<C>, common: &Common) -> anyhow::Result<()> {
    let owner = Database::new("MIGRATE_DATABASE_URL", common.migrate_database_url()?, service.name)?;
    let own = Database::new("DATABASE_URL", common.database_url()?, service.name)?;
    database::migrate(&[&MIGRATIONS, service.migrations], &owner, &own)
        .await
        .context("the database could not be migrated")?;
    tracing::info!("the schema is up to date");
    topics::create(&broker_settings(service.name, common), service.topics).await?;
    tracing::info!("the topics are up to date");
    Ok(())
}
