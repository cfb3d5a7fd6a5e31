//! One running process with its files `NAME.pid` and `NAME.log`. The pid file outlives the program that started the
//! process, so that a later command finds the process. The file contains the start time too, which distinguishes the
//! process from a later one with the same pid.

use crate::error::{During, Error, Result};
use crate::process_table::{self, look_up};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The size beyond which a log is rotated when its process starts.
const LOG_LIMIT: u64 = 16 << 20;

#[derive(Debug, Clone)]
pub struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment; the process inherits no other variable.
    pub(crate) environment: Vec<(String, OsString)>,
    /// The working folder; `None` for that of this process.
    pub(crate) folder: Option<PathBuf>,
    /// The user to run as; `None` for that of this process.
    pub(crate) user: Option<Unprivileged>,
}

impl Launch {
    /// Returns a command that runs in the folder and as the user of this process.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, environment: Vec<(String, OsString)>) -> Self {
        Self { program, arguments, environment, folder: None, user: None }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Unprivileged {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Returns `nobody` when this program runs as root, since Postgres refuses to run as root; else `None`, which means this
/// program's own user.
pub(crate) fn unprivileged() -> Result<Option<Unprivileged>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match nix::unistd::User::from_name("nobody") {
        Ok(Some(user)) => Ok(Some(Unprivileged { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
        _ => Err(Error::Failed(
            "Postgres does not run as root, and there is no user `nobody` to run it as".into(),
        )),
    }
}

/// The names of the private servers; every other name is an instance of a service.
pub const SERVERS: [&str; 2] = ["kafka", "postgres"];

/// Returns whether a name is that of a server: `postgres`, `kafka`, or a further node of Kafka such as `kafka-2`.
pub fn is_server(name: &str) -> bool {
    name == "postgres" || instance_number(name, "kafka").is_some()
}

/// Returns the name of an instance of a service, or of a node of Kafka, and of its files: `payment`, `payment-2`, …
pub fn instance_name(service: &str, number: usize) -> String {
    if number == 1 { service.to_owned() } else { format!("{service}-{number}") }
}

/// Returns the number of an instance of this service: `payment` → 1, `payment-3` → 3; `None` for any other name.
pub fn instance_number(name: &str, service: &str) -> Option<usize> {
    let rest = name.strip_prefix(service)?;
    if rest.is_empty() { Some(1) } else { rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 0) }
}

/// Returns the service of an instance: `payment-3` → `payment`.
pub fn service_of(name: &str) -> &str {
    name.split_once('-').map_or(name, |(service, _)| service)
}

/// A process that this program started, or that an earlier command started and left its pid file.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: i32,
    started: String,
    child: Option<Child>,
    pid_file: PathBuf,
}

impl Process {
    /// Starts a process in its own process group (a Ctrl-C at the terminal does not reach it), with output to its log.
    pub(crate) fn spawn(name: &str, launch: &Launch, dir: &Path) -> Result<Self> {
        let log = open_log(&log_file(dir, name))?;
        let errors = log.try_clone().during(|| "sharing a log".into())?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        command.env_clear().envs(launch.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &launch.folder {
            command.current_dir(folder);
        }
        if let Some(user) = launch.user {
            command.uid(user.uid).gid(user.gid);
        }
        let child = command.spawn().during(|| format!("starting {}", launch.program.display()))?;
        let pid = child.id().cast_signed();
        let started = look_up(pid).map(|entry| entry.started).unwrap_or_default();
        let pid_file = pid_file(dir, name);
        let mut process = Self { name: name.to_owned(), pid, started, child: Some(child), pid_file };
        let noted = fs::write(&process.pid_file, format!("{pid} {}\n", process.started));
        if noted.is_err() {
            // No command would find it.
            process.kill();
        }
        noted.during(|| format!("writing {}", process.pid_file.display()))?;
        Ok(process)
    }

    pub fn adopt(dir: &Path, name: &str) -> Option<Self> {
        let pid_file = pid_file(dir, name);
        let text = fs::read_to_string(&pid_file).ok()?;
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let started = words.next()?.to_owned();
        let process = Self { name: name.to_owned(), pid, started, child: None, pid_file };
        process.is_there().then_some(process)
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns how the process ended, for example `died (signal 9)`, `stopped` or `ended (exit status: 1)`; `None`
    /// while it runs. Only the parent knows the exit status; other programs read the note that `kill` or `stop` left in
    /// the pid file.
    pub fn end(&mut self) -> Option<String> {
        if let Some(child) = &mut self.child {
            let status = child.try_wait().ok().flatten()?;
            return Some(self.noted_end().filter(|_| status.success()).unwrap_or_else(|| manner(status)));
        }
        (!self.is_there()).then(|| self.noted_end().unwrap_or_else(|| "died".to_owned()))
    }

    /// Sends a signal to the process and to all descendants, whatever their process group is.
    pub(crate) fn signal_tree(&self, signal: Signal) {
        if self.is_there() {
            for pid in process_table::tree(self.pid) {
                _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    /// Sends the stop signal, then thaws the process: a frozen one could not stop.
    pub fn ask_to_stop(&self) {
        if self.is_there() {
            self.note("stop");
            // On SIGTERM, Postgres would wait until all sessions have ended.
            let signal = if self.name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
            _ = kill(Pid::from_raw(self.pid), signal);
            self.signal_tree(Signal::SIGCONT);
        }
    }

    /// Stops the process, and removes its pid file; kills it after `limit`. Returns whether it stopped in time.
    pub async fn stop(&mut self, limit: Duration) -> bool {
        self.ask_to_stop();
        let deadline = Instant::now() + limit;
        while self.end().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let in_time = self.end().is_some();
        self.clean_up();
        in_time
    }

    /// Kills the process and all descendants with SIGKILL, and waits at most 5 s until they are gone. The pid file notes it.
    pub fn kill(&mut self) {
        let pids = if self.is_there() { process_table::tree(self.pid) } else { Vec::new() };
        self.note("9");
        for pid in &pids {
            _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        let lingers = |pid: &i32| look_up(*pid).is_some_and(|entry| !entry.zombie);
        while (self.end().is_none() || pids.iter().any(lingers)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process if it still runs, and removes the pid file: no command finds the process any more.
    pub fn clean_up(&mut self) {
        if self.end().is_none() {
            self.kill();
        }
        _ = fs::remove_file(&self.pid_file);
    }

    fn is_there(&self) -> bool {
        look_up(self.pid).is_some_and(|entry| entry.started == self.started && !entry.zombie)
    }

    /// Returns the reason that `kill` or `stop` noted in the pid file. A completed `stop` has removed the file.
    fn noted_end(&self) -> Option<String> {
        let Ok(noted) = fs::read_to_string(&self.pid_file) else { return Some("stopped".to_owned()) };
        match noted.split_whitespace().nth(2)? {
            "stop" => Some("stopped".to_owned()),
            signal => Some(format!("died (signal {signal})")),
        }
    }

    fn note(&self, why: &str) {
        _ = fs::write(&self.pid_file, format!("{} {} {why}\n", self.pid, self.started));
    }
}

/// Returns the names of all pid files in a folder, whether their processes run or not.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(listing) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = listing.filter_map(std::result::Result::ok).map(|entry| entry.path());
    let pid_files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
    let mut names: Vec<String> =
        pid_files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

pub fn log_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.log"))
}

pub(crate) fn pid_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pid"))
}

/// Returns the path to which a large log is renamed.
pub(crate) fn rotated(log: &Path) -> PathBuf {
    log.with_extension("log.old")
}

fn open_log(path: &Path) -> Result<fs::File> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
        _ = fs::rename(path, rotated(path));
    }
    let opened = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.during(|| format!("opening {}", path.display()))
}

fn manner(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("died (signal {signal})"),
        None => format!("ended ({status})"),
    }
}
