//! Lists, stops and kills the processes of a folder of pid files, whichever program started them.

use crate::process::{self, Process};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

/// The names of the private servers; every other name is an instance of a service.
pub const SERVERS: [&str; 2] = ["kafka", "postgres"];

/// The time after which a service that does not stop is killed.
const SERVICE_STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// The time after which a server that does not stop is killed.
const SERVER_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the names of the running processes.
pub fn names(dir: &Path) -> Vec<String> {
    process::names(dir).into_iter().filter(|name| Process::adopt(dir, name).is_some()).collect()
}

/// Whether this process runs.
pub fn is_running(dir: &Path, name: &str) -> bool {
    Process::adopt(dir, name).is_some()
}

/// Stops everything: the services first, then the servers that they need. Calls `report` for each process.
pub async fn stop_all(dir: &Path, report: impl Fn(&str)) {
    let (servers, services): (Vec<_>, Vec<_>) =
        process::names(dir).into_iter().partition(|name| SERVERS.contains(&name.as_str()));
    stop(dir, &services, &report).await;
    stop(dir, &servers, &report).await;
}

/// Stops these processes concurrently; kills a process that exceeds its timeout. Calls `report` for each process.
pub async fn stop(dir: &Path, names: &[String], report: impl Fn(&str)) {
    let mut waiting = Vec::new();
    for name in names {
        let Some(process) = Process::adopt(dir, name) else {
            process::remove_pid_file(dir, name);
            continue;
        };
        let is_server = SERVERS.contains(&name.as_str());
        // On SIGTERM, Postgres would wait until all sessions have ended.
        process.ask_to_stop(if name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM });
        let timeout = if is_server { SERVER_STOP_TIMEOUT } else { SERVICE_STOP_TIMEOUT };
        waiting.push((name, process, Instant::now() + timeout));
    }
    while !waiting.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        waiting.retain_mut(|(name, process, deadline)| {
            let overdue = Instant::now() > *deadline;
            if overdue {
                process.kill();
            } else if process.end().is_none() {
                return true;
            }
            process.remove_pid_file();
            report(&if overdue {
                format!("{name} did not stop and was killed")
            } else {
                format!("{name} stopped")
            });
            false
        });
    }
}

/// Kills a process with SIGKILL. Returns whether it was running.
pub fn kill(dir: &Path, name: &str) -> bool {
    Process::adopt(dir, name).is_some_and(|mut process| {
        process.kill();
        true
    })
}

/// Kills everything.
pub fn kill_all(dir: &Path) {
    for name in process::names(dir) {
        kill(dir, &name);
        process::remove_pid_file(dir, &name);
    }
}
