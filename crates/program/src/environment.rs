//! The Postgres driver completes a URL from libpq's variables (`PGSSLMODE`, `PGOPTIONS`, `PGHOST`, …). A variable that
//! was set for psql would change, or break, the connections of a service: its URL alone decides.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Replaces this process by the same program without libpq's variables, where any is set. Call it first: whatever
/// the process did before is lost. (Removing a variable from a running process is not safe in Rust.)
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

/// Every name that begins with `PG` is libpq's, or a Postgres tool's.
fn is_libpq(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"PG")
}
