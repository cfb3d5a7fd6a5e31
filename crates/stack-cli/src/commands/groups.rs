//! `groups`: prints the lag, one line per member and topic. The lag is computed from the positions in the databases,
//! from which a service resumes; the members come from Kafka.

use crate::local::Local;
use crate::screen::{Palette, complain, print};
use stack::backlog::{self, Position};
use stack::kafka;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The positions by topic and member (`-` for unassigned partitions).
type Rows = BTreeMap<(String, String), Vec<Position>>;

pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let local = Local::load()?;
    local.require_running(&["kafka", "postgres"])?;
    let palette = Palette::new(local.home.services()?);
    print(format_args!("{:<14} {:<24} {:<14} {:<12} LAG", "GROUP", "MEMBER", "TOPIC", "PARTITIONS"));
    let mut complaints = BTreeSet::new();
    for service in local.home.services()? {
        // A failure of one service must not hide those of the others.
        match show(&local, &palette, &service).await {
            Ok(found) => complaints.extend(found),
            Err(error) => _ = complaints.insert(format!("{service}: {error}")),
        }
    }
    for complaint in &complaints {
        complain(complaint);
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the lines of one group; returns the reasons why the group cannot continue to read.
async fn show(local: &Local, palette: &Palette, service: &str) -> anyhow::Result<BTreeSet<String>> {
    let group = format!("{}{service}", local.topic_prefix);
    let url = local.service(service)?.access.database_url;
    let positions = backlog::positions(&url, &local.brokers(), &local.topic_prefix).await?;
    let members = members(local, &group).await?;
    let mut complaints = BTreeSet::new();
    for position in &positions {
        complaints.extend(position.obstacle().map(|obstacle| {
            let (what, command) = obstacle.explain(service, &position.topic);
            format!("{service}: topic {} {what}; ./scripts/run {command}", position.topic)
        }));
    }
    for ((topic, member), positions) in rows(positions, &members, &local.topic_prefix) {
        let partitions: Vec<i32> = positions.iter().map(|position| position.partition).collect();
        let lag: i64 = positions.iter().map(Position::lag).sum();
        let line = format!("{group:<14} {member:<24} {topic:<14} {:<12} {lag}", ranges(&partitions));
        print(palette.paint(service, line));
    }
    Ok(complaints)
}

/// The member that is assigned each partition, by the topic's full name.
type Members = BTreeMap<(String, i32), String>;

async fn members(local: &Local, group: &str) -> anyhow::Result<Members> {
    let (brokers, group) = (local.brokers(), group.to_owned());
    let asked = kafka::ask(&brokers, move |consumer| Ok(groups::members(consumer, &group, TIMEOUT)?)).await;
    let mut members = Members::new();
    for member in asked? {
        members.extend(member.assigned.into_iter().map(|partition| (partition, member.name.clone())));
    }
    Ok(members)
}

fn rows(positions: Vec<Position>, members: &Members, prefix: &str) -> Rows {
    let mut rows = Rows::new();
    for position in positions {
        let member = members.get(&(format!("{prefix}{}", position.topic), position.partition));
        let member = member.map_or("-", String::as_str).to_owned();
        rows.entry((position.topic.clone(), member)).or_default().push(position);
    }
    rows
}

/// Formats partition numbers as ranges: `0-3,7`.
fn ranges(partitions: &[i32]) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for &partition in partitions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == partition => *last = partition,
            _ => runs.push((partition, partition)),
        }
    }
    let words = runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn consecutive_partitions_are_shown_as_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(ranges(&[]), "");
    }
}
