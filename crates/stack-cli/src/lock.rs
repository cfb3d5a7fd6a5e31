//! File locks that allow one `up` and one `start` at a time. The kernel releases a lock when its holder ends, however
//! that happens; the file of `up` contains the holder's pid.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stack::Home;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

fn path(home: &Home) -> PathBuf {
    home.data("run/up.lock")
}

/// Takes the lock of `up` until the file is dropped; fails when another `up` holds the lock.
pub(crate) fn hold(home: &Home) -> anyhow::Result<File> {
    let mut file = File::options().create(true).write(true).truncate(false).open(path(home))?;
    if file.try_lock().is_err() {
        let pid = holder(home).map_or(String::new(), |pid| format!(" (pid {pid})"));
        anyhow::bail!("the system is up already{pid}; stop it with Ctrl-C there or ./scripts/down here");
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Waits for the lock of `start` and holds it until the file is dropped.
pub(crate) fn start(home: &Home) -> anyhow::Result<File> {
    let file = File::options().create(true).write(true).truncate(false).open(home.data("run/start.lock"))?;
    file.lock()?;
    Ok(file)
}

pub(crate) fn holder(home: &Home) -> Option<i32> {
    let file = File::open(path(home)).ok()?;
    file.try_lock_shared().is_err().then(|| fs::read_to_string(path(home)).ok()?.trim().parse().ok())?
}

/// Tells an `up` to stop everything, as Ctrl-C does.
pub(crate) fn ask_to_stop(pid: i32) {
    _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}
