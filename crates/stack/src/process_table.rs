//! The process table, from `/proc` on Linux and `ps` elsewhere. The start time distinguishes a process from a later one
//! with the same id.

use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// The start time, in the system's own format: only for comparison.
    pub(crate) started: String,
    /// Whether the process has ended and its parent has not reaped it yet.
    pub(crate) zombie: bool,
}

pub(crate) fn look_up(pid: i32) -> Option<Entry> {
    if cfg!(target_os = "linux") {
        return parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    }
    ps(&["-o", "pid=,ppid=,stat=,lstart=", "-p", &pid.to_string()]).pop()
}

/// Returns a process and all its descendants, parents first.
pub(crate) fn tree(root: i32) -> Vec<i32> {
    let all = all_processes();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|entry| entry.parent == parent).map(|entry| entry.pid));
        next += 1;
    }
    found
}

/// Whether any process has this folder as its working folder. Always false on systems other than Linux.
pub(crate) fn any_process_works_in(dir: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let mut folders = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    folders.any(|folder| folder == dir)
}

fn all_processes() -> Vec<Entry> {
    if !cfg!(target_os = "linux") {
        return ps(&["-A", "-o", "pid=,ppid=,stat=,lstart="]);
    }
    let Ok(listing) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(look_up).collect()
}

/// Parses `123 (a name) S 1 …`. The name may contain spaces and parentheses, so fields are counted from its end.
fn parse_stat(text: &str) -> Option<Entry> {
    let pid = text.split(' ').next()?.parse().ok()?;
    let rest: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(Entry {
        pid,
        parent: rest.get(1)?.parse().ok()?,
        started: (*rest.get(19)?).to_owned(),
        zombie: matches!(*rest.first()?, "Z" | "X"),
    })
}

fn ps(arguments: &[&str]) -> Vec<Entry> {
    let output = Command::new("ps").args(arguments).env("LC_ALL", "C").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(parse_ps).collect()
}

fn parse_ps(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    Some(Entry {
        pid: words.next()?.parse().ok()?,
        parent: words.next()?.parse().ok()?,
        zombie: words.next()?.starts_with('Z'),
        started: words.collect::<Vec<_>>().join("-"),
    })
}

#[cfg(test)]
mod tests {
    use super::{look_up, parse_ps, parse_stat, tree};

    #[test]
    fn this_process_is_found_among_its_parents_children() {
        let this = i32::try_from(std::process::id()).unwrap();
        let entry = look_up(this).unwrap();
        assert!(!entry.zombie);
        assert!(tree(entry.parent).contains(&this));
    }

    #[test]
    fn a_name_with_parentheses_is_parsed() {
        let line = "12 (a) b (c) Z 1 12 12 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let entry = parse_stat(line).unwrap();
        assert_eq!((entry.pid, entry.parent, entry.started.as_str(), entry.zombie), (12, 1, "4711", true));
    }

    #[test]
    fn a_line_of_ps_is_parsed() {
        let entry = parse_ps("  77     1 Ss   Tue Nov 24 10:00:00 2026").unwrap();
        assert_eq!((entry.pid, entry.parent, entry.started.as_str()), (77, 1, "Tue-Nov-24-10:00:00-2026"));
    }
}
