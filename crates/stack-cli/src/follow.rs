//! The output of `up` once everything is ready: the merged logs of the services, and a line for each process that ends.

use crate::chronology::in_order;
use crate::commands::buttons;
use crate::log_reader::LogReader;
use crate::screen::{Palette, say};
use stack::process::{self, Process, service_of};
use stack::{Daemon, Home, running};
use std::collections::BTreeMap;
use std::time::Duration;

/// Prints log lines and process exits until the future is dropped.
pub(crate) async fn logs_and_exits(home: &Home, daemons: Vec<Daemon>) -> anyhow::Result<()> {
    let palette = Palette::new(home.services()?);
    let mut logs = LogReader::from_now_on(&home.run());
    let mut watch = Watch::new(home, daemons);
    loop {
        let lines = logs.new_lines();
        for (name, line) in in_order(lines, |name| logs.changed(name)) {
            say(labelled(&palette, &name, &line));
        }
        for (name, how) in watch.ended() {
            let command = if name == buttons::NAME { "up" } else { &format!("start {name}") };
            say(format_args!("{name} {how}; ./scripts/{command}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Labels a log line with the name of its service. A pretty line already has the name after the time: the name is
/// coloured, or the whole text when the line is a message to a customer. Other lines get a prefix: `order        | …`.
pub(crate) fn labelled(palette: &Palette, name: &str, line: &str) -> String {
    let service = service_of(name);
    if line.starts_with(' ') {
        return palette.paint_bold(name, line);
    }
    match line.split_once(' ') {
        Some((time, rest)) if rest.starts_with(service) => {
            let (label, said) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            let said = if said.contains('✉') { palette.paint_bold(name, said) } else { said.to_owned() };
            format!("{time} {}{said}", palette.paint(name, label))
        }
        _ => format!("{} {line}", palette.paint(name, format_args!("{name:<12} |"))),
    }
}

/// Detects processes that end: the children of this program, and those that a concurrent `start` started.
struct Watch {
    dir: std::path::PathBuf,
    daemons: BTreeMap<String, Daemon>,
    others: BTreeMap<String, Process>,
}

impl Watch {
    fn new(home: &Home, daemons: Vec<Daemon>) -> Self {
        let daemons = daemons.into_iter().map(|daemon| (daemon.name().to_owned(), daemon)).collect();
        Self { dir: home.run(), daemons, others: BTreeMap::new() }
    }

    /// Returns the names of the processes that ended since the last call, and how they ended.
    fn ended(&mut self) -> Vec<(String, String)> {
        let names = process::names(&self.dir);
        let daemons = self.daemons.extract_if(.., |_, daemon| daemon.end().is_some());
        let mut ended: Vec<_> = daemons.filter_map(|(name, daemon)| Some((name, daemon.end()?))).collect();
        let others = self.others.extract_if(.., |_, process| process.end().is_some());
        ended.extend(others.filter_map(|(name, mut process)| Some((name, process.end()?))));
        // A process that runs again needs no hint.
        ended.retain(|(name, _)| !running::is_running(&self.dir, name));
        for name in names {
            if !self.daemons.contains_key(&name) && !self.others.contains_key(&name) {
                self.others.extend(Process::adopt(&self.dir, &name).map(|process| (name, process)));
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::labelled;
    use crate::screen::Palette;

    #[test]
    fn every_line_shows_the_name_of_its_log() {
        let plain = Palette::new(vec!["order".to_owned()]);
        let said = |line| labelled(&plain, "order-2", line);
        assert_eq!(said("12:00:00.000 order-2      order placed"), "12:00:00.000 order-2      order placed");
        assert_eq!(said("thread 'main' panicked"), "order-2      | thread 'main' panicked");
    }
}
