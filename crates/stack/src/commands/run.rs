//! `run SERVICE COMMAND`: an operator's command of a service (`redrive`, `rewind`, `republish`, …) with the settings that
//! the running one has.

use crate::local::Local;
use stack::Home;
use std::os::unix::process::CommandExt as _;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The service.
    service: String,
    /// Its own command and arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let (name, services) = (&arguments.service, home.services()?);
    anyhow::ensure!(
        services.contains(name),
        "there is no service `{name}`; there are {}",
        services.join(", ")
    );
    let local = Local::load(&home)?;
    if !arguments.arguments.iter().any(|word| ["check", "help", "--help", "-h"].contains(&word.as_str())) {
        local.require_running(&home, &["postgres"])?;
    }
    let mut command = local.service(&home, name)?.command(&home);
    Err(command.as_std_mut().args(&arguments.arguments).exec().into())
}
