//! `sqlx-prepare`: writes the query data (`.sqlx`) with which the checked queries compile without a database.

use crate::screen::say;
use stack::Home;
use stack::sqlx_data::{self, Databases};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Prepare only this crate; may be given several times.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Write nothing; fail when a committed folder is out of date.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    let crates = sqlx_data::crates(&home, &arguments.packages)?;
    let databases = Databases::start(&home).await?;
    if arguments.check {
        let outdated = databases.outdated(&home, &crates).await?;
        anyhow::ensure!(
            outdated.is_empty(),
            "out of date: {}; run ./scripts/sqlx-prepare and commit",
            outdated.join(", ")
        );
        say(format_args!("the query data of {} crates is up to date", crates.len()));
        return Ok(());
    }
    if crates.len() > 1 {
        say("  … compiling the workspace for all of its queries");
        databases.spread(&home, &crates).await?;
    }
    for checked in &crates {
        say(format_args!("  … compiling the workspace for the queries of {}", checked.name));
        let folder = databases.write(&home, checked).await?;
        say(format_args!("{}: {} queries", checked.name, std::fs::read_dir(&folder)?.count()));
    }
    Ok(())
}
