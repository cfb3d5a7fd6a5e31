//! The commands behind `scripts/`; the comment at the top of a script describes its command.

mod chronology;
mod commands;
mod env_file;
mod follow;
mod local;
mod lock;
mod log_reader;
mod prepare;
mod screen;
mod secured;
mod seed;
mod tool_properties;
mod tour;

use clap::{Parser, Subcommand};
use commands::{
    buttons, control, doctor, events, groups, kafka_tool, kafka_users, logs, provision, run, up, with_servers,
};
use local::Local;
use nix::sys::stat::{Mode, umask};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "stack", about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the system and follows the logs.
    #[command(
        override_usage = "./scripts/up [--detach] [--fresh] [--brokers N] [--secure] [--accept-differences]"
    )]
    Up(up::Arguments),
    /// Stops the system.
    #[command(override_usage = "./scripts/down")]
    Down,
    /// Starts a service, N instances of a service, or a server.
    #[command(override_usage = "./scripts/start NAME [--instances N]")]
    Start(control::Arguments),
    /// Stops a service, an instance or a server gracefully.
    #[command(override_usage = "./scripts/stop NAME [--instances N]")]
    Stop(control::Arguments),
    /// Kills a service, an instance or a server with SIGKILL.
    #[command(override_usage = "./scripts/kill NAME [--instances N]")]
    Kill(control::Arguments),
    /// Shows the records of the topics, one line per record.
    #[command(override_usage = "./scripts/events [TOPIC...] [--from-beginning]")]
    Events(events::Arguments),
    /// Shows the members of the consumer groups, their partitions and their lag.
    #[command(override_usage = "./scripts/groups")]
    Groups,
    /// Finds out what is wrong.
    #[command(override_usage = "./scripts/doctor [--email ADDRESS]")]
    Doctor(doctor::Arguments),
    /// Shows the logs of the services.
    #[command(override_usage = "./scripts/logs [-f] [SERVICE]")]
    Logs(logs::Arguments),
    /// Prints the operator's token.
    #[command(override_usage = "./scripts/token")]
    Token,
    /// Runs one of Kafka's own tools.
    #[command(override_usage = "./scripts/kafka TOOL [ARGS...]")]
    Kafka(kafka_tool::Arguments),
    /// Runs an operator's command of a service.
    #[command(override_usage = "./scripts/run SERVICE COMMAND [ARGS...]")]
    Run(run::Arguments),
    /// Prepares Kafka and Postgres for the containers of docker-compose.yml.
    Provision(provision::Arguments),
    /// Writes the users of the Kafka of docker-compose.yml with the profile `secure`.
    KafkaUsers(kafka_users::Arguments),
    /// Serves the board's buttons.
    #[command(hide = true)]
    Buttons,
    /// Runs a command with a private Kafka and Postgres.
    WithServers(with_servers::Arguments),
}

impl Command {
    /// Sets a umask so that this process and its children create files that only this user may read: logs hold whole
    /// mails, Kafka's segments hold addresses. A command with servers is excepted: it may build, and others may read that.
    fn keep_files_private(&self) {
        if !matches!(self, Self::WithServers(_)) {
            umask(Mode::S_IRWXG | Mode::S_IRWXO);
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match program::ignore_libpq_variables() {
        Ok(()) => {
            let command = Arguments::parse().command;
            command.keep_files_private();
            execute(command).await
        }
        Err(error) => Err(anyhow::anyhow!("cannot start without libpq's variables (PG…): {error}")),
    };
    done.unwrap_or_else(|error| {
        screen::complain(error);
        ExitCode::FAILURE
    })
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => up::run(&arguments).await?,
        Command::Down => control::down().await?,
        Command::Start(arguments) => control::start(&arguments).await?,
        Command::Stop(arguments) => control::stop(&arguments).await?,
        Command::Kill(arguments) => control::kill(&arguments)?,
        Command::Events(arguments) => events::run(arguments).await?,
        Command::Groups => return groups::run().await,
        Command::Doctor(arguments) => return doctor::run(&arguments).await,
        Command::Logs(arguments) => logs::run(&arguments).await?,
        Command::Token => token()?,
        Command::Kafka(arguments) => kafka_tool::run(&arguments).await?,
        Command::Run(arguments) => run::run(&arguments)?,
        Command::KafkaUsers(arguments) => kafka_users::run(&arguments)?,
        Command::Provision(arguments) => provision::run(&arguments).await?,
        Command::Buttons => buttons::run().await?,
        Command::WithServers(arguments) => return with_servers::run(&arguments).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints only the operator's token, for `$(./scripts/token)`.
fn token() -> anyhow::Result<()> {
    screen::print(Local::load()?.secret("ADMIN_TOKEN")?);
    Ok(())
}
