//! Lists, stops and kills the processes of a folder of pid files, whichever program started them.

use crate::process::{self, Process, is_server};
use futures::future::join_all;
use std::path::Path;
use std::time::Duration;

const SERVICE_STOP_TIMEOUT: Duration = Duration::from_secs(15);
const SERVER_STOP_TIMEOUT: Duration = Duration::from_secs(30);

pub fn names(dir: &Path) -> Vec<String> {
    process::names(dir).into_iter().filter(|name| is_running(dir, name)).collect()
}

pub fn is_running(dir: &Path, name: &str) -> bool {
    Process::adopt(dir, name).is_some()
}

/// Stops everything: the services first, then the servers that they need. Calls `report` for each process.
pub async fn stop_all(dir: &Path, report: impl Fn(&str)) {
    let (servers, services): (Vec<_>, Vec<_>) =
        process::names(dir).into_iter().partition(|name| is_server(name));
    stop(dir, &services, &report).await;
    stop(dir, &servers, &report).await;
}

/// Stops these processes concurrently; kills a process that exceeds its timeout. Calls `report` for each process.
pub async fn stop(dir: &Path, names: &[String], report: impl Fn(&str)) {
    let stop_one = async |name: &String| {
        let Some(mut process) = Process::adopt(dir, name) else {
            _ = std::fs::remove_file(process::pid_file(dir, name));
            return;
        };
        let in_time =
            process.stop(if is_server(name) { SERVER_STOP_TIMEOUT } else { SERVICE_STOP_TIMEOUT }).await;
        let what = if in_time { "stopped" } else { "did not stop and was killed" };
        report(&format!("{name} {what}"));
    };
    join_all(names.iter().map(stop_one)).await;
}

/// Kills a process with SIGKILL. Returns whether it was running.
pub fn kill(dir: &Path, name: &str) -> bool {
    let process = Process::adopt(dir, name);
    process.map(|mut process| process.kill()).is_some()
}

pub fn kill_all(dir: &Path) {
    for name in process::names(dir) {
        kill(dir, &name);
        _ = std::fs::remove_file(process::pid_file(dir, &name));
    }
}
