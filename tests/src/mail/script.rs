//! What a mail server says, stage by stage, as a test sets it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A stage of the dialogue at which the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The connection is made.
    Greeting,
    /// EHLO
    Hello,
    /// MAIL FROM
    Sender,
    /// RCPT TO
    Recipient,
    /// DATA
    Data,
    /// The final dot.
    Content,
}

/// Shared by the connections of a server.
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
    /// The stage that a client's line leads to.
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
    /// From now on the server answers this at `at`. Connections that are there are closed at their next command.
    pub(super) fn answer(&self, at: At, words: &str) {
        let mut lines = self.lines();
        lines.answers.insert(at, format!("{words}\r\n"));
        lines.changes += 1;
    }

    /// From now on the server answers as servers do.
    pub(super) fn repair(&self) {
        self.lines().answers.clear();
    }

    /// From now on each answer takes this long.
    pub(super) fn pause(&self, pause: Duration) {
        self.lines().pause = pause;
    }

    /// From now on the server announces SMTPUTF8.
    pub(super) fn announce_utf8(&self) {
        self.lines().utf8 = true;
    }

    /// What clients have said so far that begins with `command`.
    pub(super) fn said(&self, command: &str) -> Vec<String> {
        self.lines().said.iter().filter(|line| line.starts_with(command)).cloned().collect()
    }

    /// Notes a command.
    pub(super) fn hear(&self, line: &str) {
        self.lines().said.push(line.trim_end().to_owned());
    }

    /// How often the answers were changed so far.
    pub(super) fn changes(&self) -> u32 {
        self.lines().changes
    }

    /// The answer that was set for this stage.
    pub(super) fn set(&self, at: At) -> Option<String> {
        let lines = self.lines();
        let utf8 = || "250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned();
        lines.answers.get(&at).cloned().or_else(|| (lines.utf8 && at == At::Hello).then(utf8))
    }

    /// Takes the time that an answer takes.
    pub(super) fn think(&self) {
        let pause = self.lines().pause;
        std::thread::sleep(pause);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap()
    }
}
