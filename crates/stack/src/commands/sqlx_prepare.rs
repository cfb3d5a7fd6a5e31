//! `sqlx-prepare`: writes what the checked queries need to compile without a database.

use stack::Home;
use stack::sqlx_data::{self, Databases};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this crate; may be given several times.
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
    let fresh = home.data("sqlx").join(format!("check-{}", std::process::id()));
    let mut stale = Vec::new();
    for checked in &crates {
        let into = arguments.check.then_some(fresh.as_path());
        let folder = databases.write(&home, checked, into).await?;
        println!("{}: {} queries checked", checked.name, std::fs::read_dir(&folder)?.count());
        if arguments.check && !sqlx_data::same(checked, &folder)? {
            stale.push(checked.name.as_str());
        }
    }
    _ = std::fs::remove_dir_all(&fresh);
    anyhow::ensure!(
        stale.is_empty(),
        "out of date: {}; run ./scripts/sqlx-prepare and commit",
        stale.join(", ")
    );
    Ok(())
}
