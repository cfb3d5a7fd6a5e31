//! Ignores libpq's environment variables (`PGSSLMODE`, `PGOPTIONS`, `PGHOST`, …). The Postgres driver completes a URL
//! from them, so a variable that was set for psql could change or break the connections of a service.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Restarts the program without libpq's variables (`exec`), if any is set. Call it first: the process loses all state.
/// (In Rust, removing a variable from a running process is unsafe.)
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
