//! What a service's binary can be told to do: run, or one of an operator's commands.

mod reconcile;
mod redrive;
mod republish;
mod restored;
mod rewind;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::service::{Context, Service};
use crate::settings::{self, Common, SettingError};

/// The command line of a service with settings `C`.
#[derive(Debug, Parser)]
pub(crate) struct Cli<C: Args> {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub config: C,
    /// Read by [`asked`]: a service has commands of its own too.
    #[arg(skip)]
    pub command: Option<Asked>,
}

/// What to do instead of running.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// One of the commands that all services have.
    Common(Command),
    /// One of the service's own, by its name, with its options.
    Own(String, ArgMatches),
}

/// The commands that all services have.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Bring the schema, older rows, the role's time-outs and the topics up to date, with the migrator's rights
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
    /// Publish what a topic of this service has lost again, from the service's own rows; readers ignore what they have seen
    ///
    /// On a compacted topic (products, stock, customers) the current state of all keys, or of `--key`, is published under a
    /// new sequence. On the others the events of the selected aggregates are rebuilt, each with the sequence that it had: a
    /// reader that has seen one ignores it, and a reader that has not applies it. The service may be running.
    Republish(republish::Options),
    /// Find the events that this service waits for and has not applied, although the topics hold them, and apply them
    ///
    /// Begin with `--dry-run`. Each aggregate that is not finished is looked for on the topics that should bring its next
    /// event. What this service has skipped is applied; for what a topic does not hold, the command is named that publishes it
    /// again. The service may be running, and repeats change nothing. Exit code 1: something is left.
    Reconcile(reconcile::Options),
    /// Repair a database that was restored from an older copy: add what this service has published since
    ///
    /// The service must not be running. It reads the topics that this service owns from their beginning, applies what the
    /// database lacks, and raises the database's generation, so that readers take what is published from then on for newer
    /// than all before. Done twice it changes nothing more. docs/restore.md has the steps.
    Restored(restored::Options),
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
    let own = service.commands.iter().map(|command| command.definition.clone());
    let command = Command::augment_subcommands(command).subcommands(own);
    let command = settings::complete(command, service.port)?;
    let matches = command.get_matches();
    let read = || Ok(Cli { command: asked(service, &matches)?, ..Cli::from_arg_matches(&matches)? });
    Ok(read().unwrap_or_else(|error: clap::Error| error.exit()))
}

/// The command on the command line, if there is one.
fn asked<C>(service: &Service<C>, matches: &ArgMatches) -> Result<Option<Asked>, clap::Error> {
    let Some((name, options)) = matches.subcommand() else { return Ok(None) };
    let is_own = service.commands.iter().any(|command| command.name() == name);
    Ok(Some(if is_own {
        Asked::Own(name.to_owned(), options.clone())
    } else {
        Asked::Common(Command::from_arg_matches(matches)?)
    }))
}

/// Carries out a command.
pub(crate) async fn carry_out<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    asked: Asked,
) -> anyhow::Result<()> {
    let command = match asked {
        Asked::Common(command) => command,
        Asked::Own(name, options) => return own(service, cli, &name, &options).await,
    };
    match command {
        Command::Migrate => crate::migrate::migrate(service, &cli.common).await,
        Command::Check => crate::parts::check(service, cli),
        Command::Health => {
            program::print(crate::probe::ready(cli.common.ops_listen).await?);
            Ok(())
        }
        Command::Redrive(options) => redrive::run(service, cli, options).await,
        Command::Rewind(options) => rewind::run(service, cli, options).await,
        Command::Reconcile(options) => reconcile::run(service, cli, options).await,
        Command::Republish(options) => republish::run(service, cli, options).await,
        Command::Restored(options) => restored::run(service, cli, options).await,
    }
}

/// Carries out one of the service's own commands.
async fn own<C: Args + Clone>(
    service: &Service<C>,
    cli: &Cli<C>,
    name: &str,
    options: &ArgMatches,
) -> anyhow::Result<()> {
    let (_, outbox, _) = crate::parts::without_running(service, cli).await?;
    let context = Context { config: cli.config.clone(), common: cli.common.clone(), outbox };
    match service.commands.iter().find(|command| command.name() == name) {
        Some(command) => (command.run)(context, options).unwrap_or_else(|error| error.exit()).await,
        None => Ok(()),
    }
}
