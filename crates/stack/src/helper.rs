//! Runs a helper program to its end (Maven, `initdb`, a migration) and keeps its output for the error message.

use crate::error::{During, Error, Result};
use std::process::{Output, Stdio};
use tokio::process::Command;

const TAIL_LINES: usize = 25;

/// Runs a command; an error contains the last lines of its output. Dropping the future kills the process.
pub async fn run(what: &str, command: &mut Command) -> Result<()> {
    output(what, command).await.map(drop)
}

pub(crate) async fn output(what: &str, command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    let starting = || format!("{what}: starting {}", command.as_std().get_program().display());
    successful(what, &output.during(starting)?)
}

pub(crate) fn successful(what: &str, output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let all = text + &String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed(format!("{what} failed ({}):\n{}", output.status, tail(&all, TAIL_LINES))))
}

pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
