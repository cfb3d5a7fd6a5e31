//! `with-servers COMMAND`: runs a command with a private Kafka and Postgres, and stops them when the command ends.

use crate::screen::Step;
use stack::Servers;
use std::process::ExitCode;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The command; `KAFKA_BROKERS` and `POSTGRES_URL` are set in its environment.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let step = Step::begin("starting a private Kafka and Postgres");
    let servers = tokio::select! {
        servers = Servers::start(None, None) => servers?,
        _ = interrupt.recv() => anyhow::bail!("stopped by Ctrl-C"),
        _ = terminate.recv() => anyhow::bail!("stopped by SIGTERM"),
    };
    step.done(format_args!("Kafka on {}, Postgres", servers.brokers()));
    let (program, rest) = arguments.command.split_first().ok_or_else(|| anyhow::anyhow!("no command"))?;
    let mut child = Command::new(program)
        .args(rest)
        .env("KAFKA_BROKERS", servers.brokers())
        .env("POSTGRES_URL", servers.postgres_url())
        .kill_on_drop(true)
        .spawn()?;
    let status = tokio::select! {
        status = child.wait() => status?,
        // The terminal sends Ctrl-C to the command as well: the servers stay until the command has ended.
        _ = interrupt.recv() => child.wait().await?,
        _ = terminate.recv() => anyhow::bail!("stopped by SIGTERM"),
    };
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
