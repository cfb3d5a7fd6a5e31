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
    let words = &arguments.arguments;
    let command = words.first().map_or("", String::as_str);
    let asks_for_help = command == "help" || words.iter().any(|word| word == "--help" || word == "-h");
    if !asks_for_help && !["check", "health"].contains(&command) {
        local.require_running(&["postgres"])?;
    }
    let service = local.service(name)?;
    let mut program = service.command();
    // `health` queries the running instance at its ports.
    program.envs(local.endpoints(name)?.settings());
    if command == "migrate" {
        program.env("MIGRATE_DATABASE_URL", &service.access.migrate_database_url);
        program.envs(local.login(Guard::MIGRATOR)?);
    }
    Err(program.as_std_mut().args(words).exec().into())
}
