//! The answers of the mail server per stage of the dialogue, as a test sets them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A stage of the dialogue at which the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// After the connection is established.
    Greeting,
    Hello,
    Sender,
    Recipient,
    Data,
    /// After the final dot.
    Content,
}

/// The answers and the clients' lines, shared by all connections of a server.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: BTreeMap<At, String>,
    pause: Duration,
    utf8: bool,
    said: Vec<String>,
    changes: u32,
}

impl At {
    /// Returns the stage to which a client's line belongs.
    pub(super) fn of(line: &str) -> Option<Self> {
        let line = line.to_ascii_uppercase();
        let stages = [
            ("EHLO", Self::Hello),
            ("HELO", Self::Hello),
            ("MAIL", Self::Sender),
            ("RCPT", Self::Recipient),
            ("DATA", Self::Data),
        ];
        stages.into_iter().find_map(|(command, at)| line.starts_with(command).then_some(at))
    }
}

impl Script {
    /// Sets the answer at a stage. The server closes open connections at their next command.
    pub(super) fn answer(&self, at: At, words: &str) {
        let mut lines = self.lines();
        lines.answers.insert(at, format!("{words}\r\n"));
        lines.changes += 1;
    }

    pub(super) fn repair(&self) {
        self.lines().answers.clear();
    }

    /// Sets the delay before each answer.
    pub(super) fn pause(&self, pause: Duration) {
        self.lines().pause = pause;
    }

    pub(super) fn announce_utf8(&self) {
        self.lines().utf8 = true;
    }

    /// Returns the clients' lines so far that begin with `command`.
    pub(super) fn said(&self, command: &str) -> Vec<String> {
        self.lines().said.iter().filter(|line| line.starts_with(command)).cloned().collect()
    }

    pub(super) fn hear(&self, line: &str) {
        self.lines().said.push(line.trim_end().to_owned());
    }

    /// Returns how often a test has changed the answers.
    pub(super) fn changes(&self) -> u32 {
        self.lines().changes
    }

    /// Returns the answer that a test has set for this stage.
    pub(super) fn set(&self, at: At) -> Option<String> {
        let lines = self.lines();
        let utf8 = || "250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned();
        lines.answers.get(&at).cloned().or_else(|| (lines.utf8 && at == At::Hello).then(utf8))
    }

    /// Waits for the delay before an answer.
    pub(super) fn think(&self) {
        let pause = self.lines().pause;
        std::thread::sleep(pause);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap()
    }
}
