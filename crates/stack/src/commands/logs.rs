//! `logs`: what the services said, in the order in which they said it.

use crate::chronology::in_order;
use crate::commands::control::logged;
use crate::follow::among_others;
use crate::local::run_dir;
use crate::log_reader::LogReader;
use crate::screen::{Palette, print};
use stack::Home;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// One service (or `kafka`, `postgres`) instead of all services.
    name: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    if let Some(name) = &arguments.name {
        let known = logged(&home)?;
        anyhow::ensure!(known.contains(name), "there is no `{name}`; there are {}", known.join(", "));
    }
    let palette = Palette::new(home.services()?);
    let mut reader = LogReader::from_the_beginning(&run_dir(&home), arguments.name.clone());
    let show = |name: &str, line: &str| match &arguments.name {
        Some(_) => print(line),
        None => print(among_others(&palette, name, line)),
    };
    loop {
        let lines = reader.all_new_lines();
        for (name, line) in in_order(lines, |name| reader.changed(name)) {
            show(&name, &line);
        }
        if !arguments.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
