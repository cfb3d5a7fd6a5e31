//! A real mail server for tests, which accepts mails, rejects them or does not answer, as a test sets it.

mod connection;
mod script;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use self::script::At;
use self::script::Script;
use crate::subscribers::BACK;
use crate::wait::eventually;

/// A mail server and the mails that it has accepted, oldest first.
#[derive(Clone, Default)]
pub struct Inbox {
    mails: Arc<Mutex<Vec<Mail>>>,
    offers: Arc<Mutex<Vec<Mail>>>,
    reaction: Arc<Mutex<Reaction>>,
    pause: Arc<Mutex<Duration>>,
    script: Script,
    port: u16,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reaction {
    #[default]
    Accept,
    /// The server rejects the mail temporarily (4xx).
    Reject,
    /// The server does not answer while this reaction is set, then rejects the mail.
    Silent,
    /// The server does not answer while this reaction is set, then accepts the mail.
    Late,
}

/// A mail received over SMTP.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    /// Headers and body, decoded from quoted-printable.
    pub text: String,
    /// The time at which the client sent the mail.
    pub at: Instant,
}

impl Inbox {
    /// Opens a mail server on a free port, which runs until the test's process ends.
    pub fn open() -> Self {
        let inbox = Self::closed();
        inbox.listen();
        inbox
    }

    /// Returns a mail server that is down: its port is closed, and not in the range of outgoing connections.
    pub fn closed() -> Self {
        Self { port: testkit::ports::free().unwrap(), ..Self::default() }
    }

    /// Starts a mail server that is down.
    pub fn listen(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let incoming = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inbox = incoming.clone();
                // An error means that the client closed the connection, which is not the server's concern.
                std::thread::spawn(move || connection::serve(&stream, inbox));
            }
        });
    }

    /// The value for `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Sets whether the server rejects mails temporarily (4xx) or accepts them.
    pub fn refuse(&self, refusing: bool) {
        self.react(if refusing { Reaction::Reject } else { Reaction::Accept });
    }

    pub fn react(&self, reaction: Reaction) {
        *self.reaction.lock().unwrap() = reaction;
    }

    /// Sets the answer at a stage of the dialogue, for example "553 5.7.1 Not owned by user". The server closes open
    /// connections at their next command.
    pub fn answer(&self, at: At, words: &str) {
        self.script.answer(at, words);
    }

    /// Removes all answers that a test has set.
    pub fn repair(&self) {
        self.script.repair();
    }

    /// Sets the delay before each answer.
    pub fn delay(&self, pause: Duration) {
        self.script.pause(pause);
    }

    pub fn announce_utf8(&self) {
        self.script.announce_utf8();
    }

    /// Returns the clients' lines so far that begin with `command`.
    pub fn said(&self, command: &str) -> Vec<String> {
        self.script.said(command)
    }

    /// Returns the mails that clients sent to `to`, accepted or not.
    pub fn offered(&self, to: &str) -> Vec<Mail> {
        self.offers.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }

    /// Returns the mails that clients sent, accepted or not, in the order of their arrival, each with whether it was accepted.
    pub fn all_offered(&self) -> Vec<(Mail, bool)> {
        let accepted: HashSet<(Instant, String)> =
            self.mails.lock().unwrap().iter().map(|mail| (mail.at, mail.to.clone())).collect();
        let offers = self.offers.lock().unwrap().clone();
        let with_answer = |mail: Mail| {
            let is_accepted = accepted.contains(&(mail.at, mail.to.clone()));
            (mail, is_accepted)
        };
        offers.into_iter().map(with_answer).collect()
    }

    /// Sets the delay before the server accepts a mail.
    pub fn slow(&self, pause: Duration) {
        *self.pause.lock().unwrap() = pause;
    }

    pub fn back_in_stock(&self) -> Vec<Mail> {
        let mails = self.mails.lock().unwrap();
        mails.iter().filter(|mail| mail.text.contains(BACK)).cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.mails.lock().unwrap().len()
    }

    /// Returns the local part of the recipient of each back-in-stock mail, sorted; without those of
    /// `a_wave_has_passed`.
    pub fn notified_names(&self) -> Vec<String> {
        let names =
            self.back_in_stock().into_iter().filter_map(|mail| Some(mail.to.split_once('@')?.0.to_owned()));
        let mut names: Vec<String> = names.filter(|name| !name.starts_with("mark-")).collect();
        names.sort_unstable();
        names
    }

    /// Waits until `count` back-in-stock mails have arrived.
    pub async fn receives(&self, count: usize) {
        let what = format!("{count} back-in-stock mails");
        eventually(&what, async || (self.back_in_stock().len() >= count).then_some(())).await;
    }

    /// Returns the mails that the server accepted for `to`.
    pub fn of(&self, to: &str) -> Vec<Mail> {
        self.mails.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }

    /// Waits for a mail to `to` that contains `word`, and returns it.
    pub async fn mail(&self, to: &str, word: &str) -> Mail {
        eventually(&format!("a mail to {to} with {word}"), async || {
            self.of(to).into_iter().find(|mail| mail.text.contains(word))
        })
        .await
    }
}

impl Mail {
    /// Returns the first link that contains `part`.
    pub fn link(&self, part: &str) -> String {
        let mut links =
            self.text.split(['"', '<', '>', ' ', '\r', '\n']).filter(|word| word.starts_with("http"));
        links
            .find(|link| link.contains(part))
            .unwrap_or_else(|| panic!("a link with {part} in {}", self.text))
            .to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
