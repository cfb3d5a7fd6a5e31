//! `run SERVICE COMMAND`: runs an operator's command of a service (`redrive`, `rewind`, `republish`, …) with the
//! settings of the running instance.

use crate::local::Local;
use stack::{Guard, Home};
use std::os::unix::process::CommandExt as _;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The service.
    service: String,
    /// The command of the service, with its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let (name, services) = (&arguments.service, home.services()?);
    anyhow::ensure!(
        services.contains(name),
        "there is no service `{name}`; the services are {}",
        services.join(", ")
    );
    let local = Local::load()?;
    let asks = |words: &[&str]| arguments.arguments.iter().any(|word| words.contains(&word.as_str()));
    if !asks(&["check", "health", "help", "--help", "-h"]) {
        local.require_running(&["postgres"])?;
    }
    let service = local.service(name)?;
    let mut command = service.command();
    // `health` queries the running instance at its ports.
    command.envs(local.endpoints(name)?.settings());
    if asks(&["migrate"]) {
        command.env("MIGRATE_DATABASE_URL", &service.access.migrate_database_url);
        command.envs(local.login(Guard::MIGRATOR)?);
    }
    Err(command.as_std_mut().args(&arguments.arguments).exec().into())
}
