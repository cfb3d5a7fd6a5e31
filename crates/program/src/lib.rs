//! The environment and the output of every program of this workspace.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Once;

/// Returns a variable that is set and not empty: as in the settings of the services, an empty one counts as unset.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns whether to colour the standard output: on a terminal or with `FORCE_COLOR`, never with `NO_COLOR` (no-color.org).
pub fn is_coloured() -> bool {
    let set = |name| variable(name).is_some_and(|value| value != "0");
    !set("NO_COLOR") && (set("FORCE_COLOR") || io::stdout().is_terminal())
}

/// Restarts the program without libpq's variables (`PGSSLMODE`, `PGHOST`, …; `exec`), if any is set: the Postgres driver
/// completes a URL from them, so a variable that was set for psql could change or break the connections of a service. Call it
/// first: the process loses all state. (In Rust, removing a variable from a running process is unsafe.)
pub fn ignore_libpq_variables() -> io::Result<()> {
    let names: Vec<OsString> =
        std::env::vars_os().map(|(name, _)| name).filter(|name| is_libpq(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut same = Command::new(std::env::current_exe()?);
    let mut words = std::env::args_os();
    if let Some(name) = words.next() {
        same.arg0(name);
    }
    same.args(words);
    for name in names {
        same.env_remove(name);
    }
    Err(same.exec())
}

/// Whether a variable belongs to libpq or a Postgres tool: their names begin with `PG`.
fn is_libpq(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"PG")
}

/// Prints a line, and continues if the pipe is closed: for a command that does more than print.
pub fn say(line: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        report(&error);
    }
}

/// Prints a line, and exits with code 0 if the pipe is closed: for a command that only prints.
pub fn print(line: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        report(&error);
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Reports output that is lost for another reason than a closed pipe, such as a full disk, once.
fn report(error: &io::Error) {
    static ONCE: Once = Once::new();
    if error.kind() != ErrorKind::BrokenPipe {
        ONCE.call_once(|| complain(format_args!("cannot write to standard output: {error}")));
    }
}

/// Prints a line to standard error, and continues if the pipe is closed.
pub fn complain(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}
