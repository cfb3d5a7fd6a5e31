//! `provision`: creates what the containers of docker-compose.yml need before the services start: databases,
//! migrations, topics, the secrets of each service in its own folder (a container mounts only that folder), and once a
//! catalogue. Existing data are kept.

use crate::local::{Local, run_dir, secrets};
use crate::{prepare, secured, seed};
use stack::service::Service;
use stack::{Home, home, kafka};
use std::time::Duration;

const STOPPING: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Create the sample catalogue on the first run.
    #[arg(long)]
    catalogue: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let local = Local::from_env(&home)?;
    anyhow::ensure!(
        local.given_brokers.is_some() && local.given_postgres.is_some(),
        "set KAFKA_BROKERS and POSTGRES_URL (an administrator's) to the servers to prepare"
    );
    home::create_private_dir(&run_dir(&home))?;
    local.save(&home)?;
    local.connect(&home)?;
    Box::pin(prepare::servers(&home, &local)).await?;
    // The number of brokers decides how many replicas a topic gets.
    kafka::wait_for_brokers(&local.brokers(), local.brokers().split(',').count()).await?;
    prepare::databases(&home, &local, false).await?;
    for name in home.services()? {
        hand_over(&home, &local, &name)?;
    }
    if arguments.catalogue && !seed::is_done(&home, &local) {
        catalogue(&home, &local).await?;
    }
    Ok(())
}

/// Writes the secrets of one service, one file per secret, for its `NAME_FILE` settings.
fn hand_over(home: &Home, local: &Local, service: &str) -> anyhow::Result<()> {
    let folder = home.data(service);
    home::create_private_dir(&folder)?;
    let Service { access, manual, .. } = local.service(home, service)?;
    let kafka_password = if local.secure { Some(secured::password(home, service)?) } else { None };
    let all = [
        ("DATABASE_URL", "database-url", Some(access.database_url)),
        ("ADMIN_TOKEN", "admin-token", Some(local.admin_token(home)?)),
        ("TOKEN_KEY", "token-key", Some(secrets(home)?.get("TOKEN_KEY")?)),
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
async fn catalogue(home: &Home, local: &Local) -> anyhow::Result<()> {
    let endpoints = local.endpoints(home, seed::OWNER)?;
    let owner = local.service(home, seed::OWNER)?.temporary_instance(home, endpoints, &run_dir(home));
    owner.start().await?;
    let done = seed::once(home, local, &[seed::OWNER.to_owned()]).await;
    owner.stop(STOPPING).await;
    done
}
