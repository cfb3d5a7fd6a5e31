//! `logs`: what the services said, in the order in which they said it.

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
        let lines = reader.new_lines();
        let nothing = lines.is_empty();
        for (name, line) in in_order(lines) {
            show(&name, &line);
        }
        if !nothing {
            continue;
        }
        if !arguments.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Merges the logs by the time at which each line begins; a line without one belongs to the line before it.
fn in_order(lines: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut time = String::new();
    let mut log = String::new();
    let mut timed = Vec::new();
    for (name, line) in lines {
        if name != log {
            (log, time) = (name.clone(), String::new());
        }
        let first = line.split(' ').next().unwrap_or_default();
        if first.starts_with(|c: char| c.is_ascii_digit()) && first.contains(':') {
            first.clone_into(&mut time);
        }
        timed.push((time.clone(), name, line));
    }
    timed.sort_by(|a, b| a.0.cmp(&b.0));
    timed.into_iter().map(|(_, name, line)| (name, line)).collect()
}
