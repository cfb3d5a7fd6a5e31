//! The command line of a service: without a command it runs; the commands are for operators.

mod acls;
mod reconcile;
mod redrive;
mod republish;
mod restored;
mod rewind;

use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use connection::Connection;

use crate::service::{Cli, Service};
use crate::settings::{self, Common, SettingError};
use crate::{migrate, parts, probe};

/// The command that the operator gave.
pub(crate) enum Asked {
    Common(Command),
    /// A command of this service alone: its name and its options.
    Own(String, ArgMatches),
}

/// The commands that all services have.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Migrate the schema and older rows, set the role's timeouts and create the topics, with the privileges of the migration role
    ///
    /// The settings of all topics are read back. When the cluster does not apply one of them, the command names the guarantee
    /// that is lost and fails. With TOPICS=verify it creates and changes no topic, and prints the wanted ones as YAML.
    Migrate(migrate::Options),
    /// Print the rights that this service's user needs at Kafka (ACLs), as lines of kafka-acls or as YAML of Strimzi
    Acls(acls::Options),
    /// Check the settings without connecting to anything: exit code 0, or a message
    Check,
    /// Ask the service on `OPS_LISTEN` whether it is ready: exit code 0 or 1, for container checks
    Health,
    /// Handle dead letters again after their cause was repaired, and print the result of each
    ///
    /// Records that fail again stay dead letters. Repeating the command changes nothing.
    Redrive(redrive::Options),
    /// Set the position from which this service reads a topic; the service may be running, and repeats change nothing
    Rewind(rewind::Options),
    /// Publish events again that a topic of this service has lost, from the service's own rows; readers ignore repetitions
    ///
    /// On a compacted topic (products, stock, customers) the command publishes the current state of all keys, or of `--key`,
    /// under a new sequence. On the other topics it rebuilds the events of the selected aggregates, each with its original
    /// sequence: a reader that has applied the event or a later one of its key ignores it, any other reader applies it. The
    /// service may be running.
    Republish(republish::Options),
    /// Find and apply the events that this service waits for and has skipped, although the topics hold them
    ///
    /// Begin with `--dry-run`. For each aggregate that is not finished, the command searches the topics that should bring its
    /// next event. It applies events that this service has skipped. For an event that no topic holds, it names the command
    /// that publishes the event again. The service may be running, and repeats change nothing. Exit code 1: some still wait.
    Reconcile(reconcile::Options),
    /// Repair a database that was restored from an older copy: add the changes that this service has published since
    ///
    /// The service must not be running. The command reads the topics that this service owns from their beginning, applies the
    /// changes that the database lacks, and raises the database's generation: readers treat all later events as newer than all
    /// earlier ones. Repeating the command changes nothing more. docs/restore.md has the steps.
    Restored(restored::Options),
}

/// Reads the settings and the command, if there is one; ends the process on a usage error, on `--help` and on `--version`.
pub(crate) fn parse(service: &Service) -> Result<(Cli, Option<Asked>), SettingError> {
    let command = Common::augment_args(clap::Command::new(service.name)).next_help_heading(None);
    let own = service.commands.iter().map(|command| command.definition.clone());
    let command = Command::augment_subcommands((service.wire.add_settings)(command)).subcommands(own);
    // Last: the comments of the settings and commands would be the description otherwise.
    let command = command.about(service.about).version(env!("CARGO_PKG_VERSION")).long_about(format!(
        "{}\n\nWithout a command, the service starts. Every setting is an environment variable or an option.",
        service.about
    ));
    let command = settings::complete(command, service.port)?;
    let matches = command.get_matches();
    let read = || Ok((Common::from_arg_matches(&matches)?, asked(service, &matches)?));
    let (mut common, asked) = read().unwrap_or_else(|error: clap::Error| error.exit());
    common.connection = Connection::new(&common.kafka, service.name)?;
    Ok((Cli { common, matches }, asked))
}

fn asked(service: &Service, matches: &ArgMatches) -> Result<Option<Asked>, clap::Error> {
    let Some((name, options)) = matches.subcommand() else { return Ok(None) };
    let is_own = service.commands.iter().any(|command| command.name() == name);
    Ok(Some(if is_own {
        Asked::Own(name.to_owned(), options.clone())
    } else {
        Asked::Common(Command::from_arg_matches(matches)?)
    }))
}

/// Runs a command. Its error names a refusal of Kafka, of which the command itself sees only that Kafka does not answer.
pub(crate) async fn execute(service: &Service, cli: &Cli, asked: Asked) -> anyhow::Result<()> {
    let done = match asked {
        Asked::Common(command) => common(service, cli, command).await,
        Asked::Own(name, options) => own(service, cli, &name, &options).await,
    };
    done.map_err(|error| match cli.common.connection.refusal() {
        Some(refusal) => error.context(format!("Kafka refuses the connection: {refusal}")),
        None => error,
    })
}

async fn common(service: &Service, cli: &Cli, command: Command) -> anyhow::Result<()> {
    let wired = || parts::without_running(service, cli);
    match command {
        Command::Acls(options) => {
            acls::run(service, &cli.common, &options);
            Ok(())
        }
        Command::Migrate(options) => migrate::migrate(service, &cli.common, &options).await,
        Command::Check => parts::lazily(service, cli).map(drop),
        Command::Health => {
            program::print(probe::ready(cli.common.ops_listen).await?);
            Ok(())
        }
        Command::Redrive(options) => redrive::run(wired().await?, options).await,
        Command::Rewind(options) => rewind::run(wired().await?, &options).await,
        Command::Reconcile(options) => reconcile::run(wired().await?, &cli.common, options).await,
        Command::Republish(options) => republish::run(wired().await?, &options).await,
        Command::Restored(options) => restored::run(wired().await?, options).await,
    }
}

async fn own(service: &Service, cli: &Cli, name: &str, options: &ArgMatches) -> anyhow::Result<()> {
    let outbox = parts::without_running(service, cli).await?.outbox;
    match service.commands.iter().find(|command| command.name() == name) {
        Some(command) => (command.run)(cli, outbox, options).unwrap_or_else(|error| error.exit()).await,
        None => Ok(()),
    }
}

/// Prints a line of a command's report. A command that changes something also finishes when the reader of its output has gone.
fn report(dry_run: bool, line: impl std::fmt::Display) {
    if dry_run { program::print(line) } else { program::say(line) }
}
