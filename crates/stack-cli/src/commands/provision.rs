//! `provision`: creates what the containers of docker-compose.yml need before the services start: databases,
//! migrations, topics, the secrets of each service in its own folder (a container mounts only that folder), and once a
//! catalogue. Existing data are kept.

use crate::local::Local;
use crate::{prepare, seed};
use stack::service::Service;
use stack::{home, kafka};
use std::time::Duration;

const STOPPING: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Create the sample catalogue on the first run.
    #[arg(long)]
    catalogue: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let local = Local::from_env()?;
    anyhow::ensure!(
        local.given_brokers.is_some() && local.given_postgres.is_some(),
        "set KAFKA_BROKERS and POSTGRES_URL (an administrator's) to the servers to prepare"
    );
    home::create_private_dir(&local.home.run())?;
    local.save()?;
    local.connect()?;
    Box::pin(prepare::servers(&local)).await?;
    // The number of brokers decides how many replicas a topic gets.
    kafka::wait_for_brokers(&local.brokers(), local.brokers().split(',').count()).await?;
    prepare::databases(&local, false).await?;
    for name in local.home.services()? {
        hand_over(&local, &name)?;
    }
    if arguments.catalogue && !seed::is_done(&local) {
        catalogue(&local).await?;
    }
    Ok(())
}

/// Writes the secrets of one service, one file per secret, for its `NAME_FILE` settings.
fn hand_over(local: &Local, service: &str) -> anyhow::Result<()> {
    let folder = local.home.data(service);
    home::create_private_dir(&folder)?;
    let Service { access, manual, .. } = local.service(service)?;
    let kafka_password = if local.secure { Some(local.password(service)?) } else { None };
    let all = [
        ("DATABASE_URL", "database-url", Some(access.database_url)),
        ("ADMIN_TOKEN", "admin-token", Some(local.secret("ADMIN_TOKEN")?)),
        ("TOKEN_KEY", "token-key", Some(local.secret("TOKEN_KEY")?)),
        ("KAFKA_SASL_PASSWORD", "kafka-password", kafka_password),
    ];
    for (setting, name, value) in all {
        let file = folder.join(name);
        match value.filter(|_| manual.names(setting)) {
            Some(value) => home::write_private(&file, &value)?,
            None => home::remove_file(&file)?,
        }
    }
    Ok(())
}

/// Creates the catalogue through the API of a temporary instance: the services start only after this program has ended.
async fn catalogue(local: &Local) -> anyhow::Result<()> {
    let endpoints = local.endpoints(seed::OWNER)?;
    let owner = local.service(seed::OWNER)?.temporary_instance(endpoints, &local.home.run());
    owner.start().await?;
    let done = seed::once(local, &[seed::OWNER.to_owned()]).await;
    owner.stop(STOPPING).await;
    done
}
