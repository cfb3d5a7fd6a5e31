//! What a service's binary can be told to do: run, or one of an operator's commands.

mod redrive;
mod republish;
mod rewind;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::service::Service;
use crate::settings::{self, Common, SettingError};

/// The command line of a service with settings `C`.
#[derive(Debug, Parser)]
pub(crate) struct Cli<C: Args> {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub config: C,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Bring the schema, the role's time-outs and the topics up to date, with the migrator's rights
    Migrate,
    /// Check the settings without touching anything: exit code 0, or a message
    Check,
    /// Tell whether the service on `OPS_LISTEN` is ready: exit code 0 or 1, for container checks
    Health,
    /// Handle dead letters again, once what killed them is repaired, and say what came of each
    ///
    /// What fails again stays. Done twice it changes nothing.
    Redrive(redrive::Options),
    /// Set where this service reads on in a topic; it may be running, and repeats change nothing
    Rewind(rewind::Options),
    /// Publish the current state of a compacted topic that this service owns again
    Republish(republish::Options),
}

/// Reads the command line and the environment; ends the process on a usage error, on `--help` and on `--version`.
pub(crate) fn parse<C: Args>(service: &Service<C>) -> Result<Cli<C>, SettingError> {
    let command = Cli::<C>::command()
        .name(service.name)
        .about(service.about)
        .version(env!("CARGO_PKG_VERSION"))
        .long_about(format!(
            "{}\n\nWithout a command it runs. Every setting is an environment variable or an option.",
            service.about
        ));
    let command = settings::complete(command, service.port)?;
    let mut matches = command.get_matches();
    Ok(Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit()))
}

/// Carries out a command.
pub(crate) async fn carry_out<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    command: Command,
) -> anyhow::Result<()> {
    match command {
        Command::Migrate => crate::migrate::migrate(service, &cli.common).await,
        Command::Check => crate::parts::check(service, cli),
        Command::Health => {
            program::print(crate::probe::ready(cli.common.ops_listen).await?);
            Ok(())
        }
        Command::Redrive(options) => redrive::run(service, cli, options).await,
        Command::Rewind(options) => rewind::run(service, cli, options).await,
        Command::Republish(options) => republish::run(service, cli, options).await,
    }
}
