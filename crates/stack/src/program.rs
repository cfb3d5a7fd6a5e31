//! Runs a helper program to its end: Maven, `initdb`, a migration. Its output is kept for the error message.

use crate::error::{During, Error, Result};
use std::process::Stdio;
use tokio::process::Command;

/// How much of a failed program's output is worth showing.
const TAIL_LINES: usize = 25;

/// Runs it; a failure carries the end of its output. It ends with the future.
pub(crate) async fn run(what: &str, command: &mut Command) -> Result<()> {
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

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
