//! Runs a helper program to its end (Maven, `initdb`, a migration) and keeps its output for the error message.

use crate::error::{During, Error, Result};
use std::process::Stdio;
use tokio::process::Command;

/// The number of output lines that the error message of a failed program shows.
const TAIL_LINES: usize = 25;

/// Runs a command; an error contains the last lines of its output. Dropping the future kills the process.
pub async fn run(what: &str, command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command
        .output()
        .await
        .during(|| format!("{what}: starting {}", command.as_std().get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Program {
        program: what.to_owned(),
        status: output.status.to_string(),
        output: tail(&text, TAIL_LINES),
    })
}

/// Returns the last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
