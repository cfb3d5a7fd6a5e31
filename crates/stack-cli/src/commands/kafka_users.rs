//! `kafka-users`: generates the users of the Kafka of docker-compose.yml with the profile `secure`, and writes them for Kafka,
//! which starts after this program. `provision` then grants their rights and hands each service its password.

use crate::local::Local;
use crate::secured::ADMIN_PROPERTIES;
use crate::tool_properties;
use stack::home;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder for the users' file (JAAS) and for the properties of Kafka's own tools.
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let local = Local::from_env()?;
    let Some(guard) = local.guard()? else {
        anyhow::bail!(
            "SECURE is not set to true, as in compose/secure.env: run COMPOSE_PROFILES=secure docker compose up"
        );
    };
    local.connect()?;
    let properties = tool_properties::of_this_process()?.unwrap_or_default();
    for (name, text) in [("jaas.conf", guard.jaas()), (ADMIN_PROPERTIES, properties)] {
        let file = arguments.folder.join(name);
        home::write_private(&file, &text)?;
        // Kafka runs as another user, who is a member of this program's group.
        set_permissions(&file, Permissions::from_mode(0o640))?;
    }
    Ok(())
}
