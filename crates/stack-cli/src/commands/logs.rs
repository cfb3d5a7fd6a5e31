//! `logs`: prints the merged logs of the services, sorted by time. The logs of containers come in on standard input,
//! since only Docker has them.

use crate::chronology::in_order;
use crate::commands::control::logged;
use crate::follow::labelled;
use crate::log_reader::LogReader;
use crate::screen::{Palette, print};
use stack::Home;
use std::io::BufRead as _;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Continue with new lines.
    #[arg(short, long)]
    follow: bool,
    /// One service (or `kafka`, `postgres`) instead of all services.
    name: Option<String>,
    /// Show lines from standard input, each prefixed with the name of its log (for ./scripts/logs with containers).
    #[arg(long, hide = true, conflicts_with_all = ["follow", "name"])]
    stdin: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::find()?;
    if let Some(name) = &arguments.name {
        let known = logged(&home)?;
        anyhow::ensure!(known.contains(name), "there is no `{name}`; the names are {}", known.join(", "));
    }
    let palette = Palette::new(home.services()?);
    if arguments.stdin {
        return show_input(&palette);
    }
    let mut reader = LogReader::from_the_beginning(&home.run(), arguments.name.clone());
    let show = |name: &str, line: &str| match &arguments.name {
        Some(_) => print(line),
        None => print(labelled(&palette, name, line)),
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

/// Prints lines from standard input; the first word of each is the name of its log: `order-2 12:00:00.000 order-2 …`.
fn show_input(palette: &Palette) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let (name, text) = line.split_once(' ').unwrap_or((&line, ""));
        print(labelled(palette, name, text));
    }
    Ok(())
}
