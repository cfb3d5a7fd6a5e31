//! A service as a process that tests can hold, freeze and kill.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;

pub(crate) struct Process {
    command: Command,
    log: PathBuf,
    until: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Returns `service` of the bank called `bank`, without settings.
    pub(crate) fn of(service: &str, bank: &str) -> Self {
        // Cargo puts examples beside the folder of this program.
        let program = std::env::current_exe().unwrap().parent().unwrap().join("../examples/bank");
        assert!(program.exists(), "the example is not built: cargo build --workspace --examples");
        let unique = uuid::Uuid::new_v4().as_fields().0;
        let file = |extension| {
            PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("{bank}-{service}-{unique:08x}.{extension}"))
        };
        let mut command = Command::new(program);
        command.arg(service).stdin(Stdio::null()).env_remove("INSTANCE");
        Self { command, log: file("log"), until: file("until"), child: None }
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Holds the process at this point until [`go_on`](Self::go_on).
    pub(crate) fn held_at(self, point: &str) -> Self {
        let until = self.until.display().to_string();
        self.with("PAUSE_AT", point).with("PAUSE_UNTIL", until)
    }

    /// Keeps the process from creating topics.
    pub(crate) fn without_topics(self) -> Self {
        self.with("CREATE_TOPICS", "no")
    }

    pub(crate) fn start(mut self) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        self.command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(self.command.spawn().unwrap());
        self
    }

    /// Waits until the process is held at its point.
    pub(crate) async fn paused(&self) {
        self.says("paused at").await;
    }

    /// Waits until the log contains `text`.
    pub(crate) async fn says(&self, text: &str) {
        until(&format!("the log contains {text:?}"), async || self.output().contains(text)).await;
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the present resident memory.
    pub(crate) fn resident_mib(&self) -> usize {
        self.memory_mib("VmRSS:")
    }

    /// Returns the largest resident memory so far.
    pub(crate) fn most_resident_mib(&self) -> usize {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, what: &str) -> usize {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
    }

    pub(crate) fn go_on(&self) {
        std::fs::write(&self.until, "").unwrap();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Returns whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// Stops the process with SIGTERM, and returns how long that took. It must succeed.
    pub(crate) async fn stop(&mut self) -> Duration {
        let asked = std::time::Instant::now();
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take().unwrap();
        until("the process ends", || std::future::ready(child.try_wait().unwrap().is_some())).await;
        assert!(child.wait().unwrap().success(), "it failed:\n{}", self.output());
        asked.elapsed()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            eprintln!(
                "--- the end of {}:\n{}",
                self.log.display(),
                lines[lines.len().saturating_sub(25)..].join("\n")
            );
        }
        let _ = std::fs::remove_file(&self.log);
        let _ = std::fs::remove_file(&self.until);
    }
}
