//! What runs in a folder of pid files, whoever started it: to list it, to stop it, to kill it.

use crate::process::{self, Process};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

/// The private servers' names; every other name is a service's instance.
pub const SERVERS: [&str; 2] = ["kafka", "postgres"];

/// How long a service may take to stop, and a server.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(30));

/// The names of the living.
pub fn names(dir: &Path) -> Vec<String> {
    process::names(dir).into_iter().filter(|name| Process::adopt(dir, name).is_some()).collect()
}

/// Whether this one lives.
pub fn is_running(dir: &Path, name: &str) -> bool {
    Process::adopt(dir, name).is_some()
}

/// Stops everything: the services first, then the servers that they need. `told` hears of each.
pub async fn stop_all(dir: &Path, told: impl Fn(&str)) {
    let (servers, services): (Vec<_>, Vec<_>) =
        process::names(dir).into_iter().partition(|name| SERVERS.contains(&name.as_str()));
    stop(dir, &services, &told).await;
    stop(dir, &servers, &told).await;
}

/// Asks these to stop, all at once, and waits; one that takes too long is killed. `told` hears of each.
pub async fn stop(dir: &Path, names: &[String], told: impl Fn(&str)) {
    let mut waiting = Vec::new();
    for name in names {
        let Some(process) = Process::adopt(dir, name) else {
            process::forget(dir, name);
            continue;
        };
        let server = SERVERS.contains(&name.as_str());
        // Postgres takes SIGTERM as "when all sessions have ended".
        process.ask_to_stop(if name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM });
        waiting.push((name, process, Instant::now() + if server { PATIENCE.1 } else { PATIENCE.0 }));
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
            process.forget();
            told(&if overdue {
                format!("{name} did not stop and was killed")
            } else {
                format!("{name} stopped")
            });
            false
        });
    }
}

/// `kill -9`; whether there was anything to kill.
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
        process::forget(dir, &name);
    }
}
