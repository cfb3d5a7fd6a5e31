//! A long-running program: start, wait until ready, stop, and break (kill, freeze, thaw). Kafka, Postgres and every
//! instance of a service are daemons.

use crate::error::{Error, Result};
use crate::helper::tail;
use crate::process::{self, Launch, Process};
use crate::ready::Ready;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const TAIL_LINES: usize = 15;
const TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Debug)]
pub struct Daemon {
    name: String,
    dir: PathBuf,
    launch: Launch,
    ready: Ready,
    process: Mutex<Option<Process>>,
}

impl Daemon {
    /// Creates a daemon with its pid and log files in `dir`. Adopts a process that an earlier command left running.
    pub fn new(name: &str, dir: &Path, launch: Launch, ready: Ready) -> Self {
        Self {
            name: name.to_owned(),
            dir: dir.to_path_buf(),
            launch,
            ready,
            process: Mutex::new(Process::adopt(dir, name)),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The log file: standard output and standard error of the process.
    pub fn log(&self) -> PathBuf {
        process::log_file(&self.dir, &self.name)
    }

    pub fn output(&self) -> String {
        read(&self.log())
    }

    /// The whole content of the log file, after that of the one before it, which was renamed because of its size.
    pub fn all_output(&self) -> String {
        read(&process::rotated(&self.log())) + &self.output()
    }

    pub fn pid(&self) -> Option<i32> {
        let mut process = self.process();
        let running = process.as_mut()?;
        running.end().is_none().then(|| running.pid())
    }

    /// Starts the process unless it runs, and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    pub fn spawn(&self) -> Result<()> {
        self.spawn_with(&[])
    }

    /// Starts the process unless it runs, with these environment variables too, until it ends; does not wait.
    pub fn spawn_with(&self, environment: &[(&str, String)]) -> Result<()> {
        let mut process = self.process();
        if process.as_mut().is_none_or(|running| running.end().is_some()) {
            let mut launch = self.launch.clone();
            launch
                .environment
                .extend(environment.iter().map(|(name, value)| ((*name).to_owned(), value.into())));
            *process = Some(Process::spawn(&self.name, &launch, &self.dir)?);
        }
        Ok(())
    }

    /// Waits until the process is ready. When it ends, or after two minutes, fails with the last lines of the log.
    pub async fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(how) = self.end() {
                return Err(self.not_ready(&format!("{how} before it was ready")));
            }
            let Err(last) = self.ready.ask().await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(self.timed_out(TIMEOUT, &last));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Returns the error for a process that runs but is not ready: `last` is the last answer to the readiness check.
    pub fn timed_out(&self, limit: Duration, last: &str) -> Error {
        self.not_ready(&format!("is not ready after {} s ({last})", limit.as_secs()))
    }

    fn not_ready(&self, how: &str) -> Error {
        let (name, log, tail) = (&self.name, self.log(), self.log_tail());
        Error::Failed(format!("{name} {how}; the end of {}:\n{tail}", log.display()))
    }

    /// Returns how the process ended, for example `died (signal 9)`; `None` while it runs.
    pub fn end(&self) -> Option<String> {
        self.process().as_mut().map_or_else(|| Some("is not running".to_owned()), Process::end)
    }

    /// Sends the stop signal and waits; kills the process after `limit`. Returns whether the process stopped in time.
    pub async fn stop(&self, limit: Duration) -> bool {
        let process = self.process().take();
        match process {
            Some(mut process) => process.stop(limit).await,
            None => true,
        }
    }

    pub fn ask_to_stop(&self) {
        if let Some(process) = self.process().as_ref() {
            process.ask_to_stop();
        }
    }

    /// Kills the process and its descendants with SIGKILL, and waits until they are gone.
    pub fn kill(&self) {
        if let Some(process) = self.process().as_mut() {
            process.kill();
        }
    }

    /// Suspends the process and its descendants (SIGSTOP).
    pub fn freeze(&self) {
        self.signal_tree(Signal::SIGSTOP);
    }

    /// Resumes a frozen process and its descendants (SIGCONT).
    pub fn thaw(&self) {
        self.signal_tree(Signal::SIGCONT);
    }

    /// Kills the process if it still runs, and removes the pid file.
    pub fn clean_up(&self) {
        if let Some(mut process) = self.process().take() {
            process.clean_up();
        }
    }

    pub fn log_tail(&self) -> String {
        tail(&self.output(), TAIL_LINES)
    }

    fn signal_tree(&self, signal: Signal) {
        if let Some(process) = self.process().as_ref() {
            process.signal_tree(signal);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(log: &Path) -> String {
    std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
