//! One `up` and one `start` at a time: a lock that falls with its holder, however that ends, and the holder's pid in it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stack::Home;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

fn path(home: &Home) -> PathBuf {
    home.data("run/up.lock")
}

/// Held until dropped; an error when another `up` is at it.
pub(crate) fn hold(home: &Home) -> anyhow::Result<File> {
    let mut file = File::options().create(true).write(true).truncate(false).open(path(home))?;
    if file.try_lock().is_err() {
        let pid = holder(home).map_or(String::new(), |pid| format!(" (pid {pid})"));
        anyhow::bail!("it is up already{pid}: Ctrl-C there, or ./scripts/down here, stops it");
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// One `start` after the other: waits for its turn, which lasts until the file is dropped.
pub(crate) fn start(home: &Home) -> anyhow::Result<File> {
    let file = File::options().create(true).write(true).truncate(false).open(home.data("run/start.lock"))?;
    file.lock()?;
    Ok(file)
}

/// The `up` that runs in another terminal.
pub(crate) fn holder(home: &Home) -> Option<i32> {
    let file = File::open(path(home)).ok()?;
    file.try_lock_shared().is_err().then(|| fs::read_to_string(path(home)).ok()?.trim().parse().ok())?
}

/// Asks it to stop everything, as Ctrl-C does.
pub(crate) fn ask_to_stop(pid: i32) {
    _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}
