//! The commands behind `scripts/`; each script says what its command is for.

mod commands;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes the .sqlx folders of the crates, or says whether they are up to date.
    SqlxPrepare(commands::sqlx_prepare::Arguments),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let done = match Arguments::parse().command {
        Command::SqlxPrepare(arguments) => commands::sqlx_prepare::run(&arguments).await,
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
