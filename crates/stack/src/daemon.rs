//! A program that runs until it is told otherwise, with the ways to start it, to ask whether it is ready, and to break
//! it: kill, stop, freeze, thaw. Kafka, Postgres and every instance of a service is one.

use crate::error::{Error, Result};
use crate::process::{self, Launch, Process};
use crate::program::tail;
use crate::ready::Ready;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much of a log an error message shows.
const TAIL_LINES: usize = 15;

/// A program, its readiness and, while it runs, its process.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    dir: PathBuf,
    launch: Launch,
    ready: Ready,
    patience: Duration,
    /// What asks it to stop: Postgres takes SIGINT as "end the sessions and stop".
    stop_signal: Signal,
    process: Mutex<Option<Process>>,
}

impl Daemon {
    /// A daemon whose pid and log files lie in `dir`; one that an earlier command left running there is taken over.
    pub(crate) fn new(name: &str, dir: &Path, launch: Launch, ready: Ready) -> Self {
        Self {
            name: name.to_owned(),
            dir: dir.to_path_buf(),
            launch,
            ready,
            patience: Duration::from_mins(2),
            stop_signal: Signal::SIGTERM,
            process: Mutex::new(Process::adopt(dir, name)),
        }
    }

    pub(crate) fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Its name, as in `NAME.log`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    pub fn log(&self) -> PathBuf {
        process::log_file(&self.dir, &self.name)
    }

    /// All that its log holds.
    pub fn output(&self) -> String {
        std::fs::read(self.log())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        let mut process = self.process();
        let running = process.as_mut()?;
        running.end().is_none().then(|| running.pid())
    }

    /// Starts it unless it runs, and returns when it is ready.
    pub async fn start(&self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Starts it unless it runs, without waiting for anything.
    pub fn spawn(&self) -> Result<()> {
        let mut process = self.process();
        if process.as_mut().is_none_or(|running| running.end().is_some()) {
            *process = Some(Process::spawn(&self.name, &self.launch, &self.dir)?);
        }
        Ok(())
    }

    /// Waits until it is ready; its end, or two minutes without, is an error that shows the end of its log.
    pub async fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(how) = self.end() {
                return Err(Error::Died {
                    name: self.name.clone(),
                    how,
                    log: self.log(),
                    tail: self.last_words(),
                });
            }
            let Err(last) = self.ready.ask().await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                let (name, seconds) = (self.name.clone(), self.patience.as_secs());
                return Err(Error::NotReady {
                    name,
                    seconds,
                    last,
                    log: self.log(),
                    tail: self.last_words(),
                });
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// `None` while it runs; else how it ended: `died (signal 9)`.
    pub fn end(&self) -> Option<String> {
        self.process().as_mut().map_or_else(|| Some("is not running".to_owned()), Process::end)
    }

    /// Asks it to stop and waits; what has not ended within `limit` is killed. Whether it ended by itself.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.ask_to_stop();
        let deadline = Instant::now() + limit;
        while self.pid().is_some() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let by_itself = self.pid().is_none();
        self.put_away();
        by_itself
    }

    /// Sends the signal that asks it to stop.
    pub fn ask_to_stop(&self) {
        if let Some(process) = self.process().as_ref() {
            process.ask_to_stop(self.stop_signal);
        }
    }

    /// `kill -9`, of all its processes; they are gone when this returns.
    pub fn kill(&self) {
        if let Some(process) = self.process().as_mut() {
            process.kill();
        }
    }

    /// Stops the clock for all its processes (SIGSTOP): they neither work nor notice.
    pub fn freeze(&self) {
        self.signal_tree(Signal::SIGSTOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.signal_tree(Signal::SIGCONT);
    }

    /// Kills what is left of it and removes its pid file.
    pub fn put_away(&self) {
        if let Some(mut process) = self.process().take() {
            if process.end().is_none() {
                process.kill();
            }
            process.forget();
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
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
