//! A real mail server for tests: it takes mails, refuses them or keeps silent, as it is told to.

mod connection;
mod script;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use self::script::At;
use self::script::Script;
use crate::subscribers::BACK;
use crate::wait::eventually;

/// The mails that came, oldest first.
#[derive(Clone, Default)]
pub struct Inbox {
    mails: Arc<Mutex<Vec<Mail>>>,
    offers: Arc<Mutex<Vec<Mail>>>,
    mood: Arc<Mutex<Mood>>,
    pause: Arc<Mutex<Duration>>,
    script: Script,
    port: u16,
}

/// What the server does with a mail that it is offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// Takes it.
    #[default]
    Taking,
    /// Refuses it for the time being (4xx).
    Refusing,
    /// Says nothing for as long as this lasts, and then that it did not take it.
    Silent,
    /// Says nothing for as long as this lasts, and then that it took it.
    Late,
}

/// A mail as it came over SMTP.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom it is for.
    pub to: String,
    /// Headers and body, without the folds of its encoding.
    pub text: String,
    /// When it was offered.
    pub at: Instant,
}

impl Inbox {
    /// Opens a mail server on a free port; it ends with the test's process.
    pub fn open() -> Self {
        let inbox = Self::closed();
        inbox.listen();
        inbox
    }

    /// A mail server that is down: nobody listens on its port, and no outgoing connection is given it meanwhile.
    pub fn closed() -> Self {
        Self { port: stack::ports::free().unwrap(), ..Self::default() }
    }

    /// Brings one that is down up.
    pub fn listen(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let incoming = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inbox = incoming.clone();
                // A client that hangs up in the middle is its own business.
                std::thread::spawn(move || connection::serve(&stream, inbox));
            }
        });
    }

    /// For `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on mails are refused for the time being (4xx), or taken.
    pub fn refuse(&self, refusing: bool) {
        self.feel(if refusing { Mood::Refusing } else { Mood::Taking });
    }

    /// What it does with mails from now on.
    pub fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// From now on the server answers `words`, as "553 5.7.1 Not owned by user", at a stage of the dialogue; connections
    /// that are there are closed at their next command.
    pub fn answer(&self, at: At, words: &str) {
        self.script.answer(at, words);
    }

    /// From now on the server answers each stage as servers do.
    pub fn repair(&self) {
        self.script.repair();
    }

    /// From now on each answer takes this long.
    pub fn think(&self, pause: Duration) {
        self.script.pause(pause);
    }

    /// From now on the server announces SMTPUTF8.
    pub fn announce_utf8(&self) {
        self.script.announce_utf8();
    }

    /// What clients have said so far that begins with `command`.
    pub fn said(&self, command: &str) -> Vec<String> {
        self.script.said(command)
    }

    /// What was offered for `to`, taken or not.
    pub fn offered(&self, to: &str) -> Vec<Mail> {
        self.offers.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }

    /// From now on each mail takes this long.
    pub fn slow(&self, pause: Duration) {
        *self.pause.lock().unwrap() = pause;
    }

    /// The mails that tell that something is back, as they came.
    pub fn told(&self) -> Vec<Mail> {
        let mails = self.mails.lock().unwrap();
        mails.iter().filter(|mail| mail.text.contains(BACK)).cloned().collect()
    }

    /// How many mails have come.
    pub fn count(&self) -> usize {
        self.mails.lock().unwrap().len()
    }

    /// Who was told that it is back, as often as it happened, in the order of the alphabet.
    pub fn names_told(&self) -> Vec<String> {
        let names = self.told().into_iter().filter_map(|mail| Some(mail.to.split_once('@')?.0.to_owned()));
        let mut names: Vec<String> = names.filter(|name| !name.starts_with("mark-")).collect();
        names.sort_unstable();
        names
    }

    /// Waits until so many mails that something is back have come.
    pub async fn tells(&self, count: usize) {
        eventually(&format!("{count} were told"), async || (self.told().len() >= count).then_some(())).await;
    }

    /// What came for `to`.
    pub fn of(&self, to: &str) -> Vec<Mail> {
        self.mails.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }

    /// Waits for a mail to `to` that has `word` in it.
    pub async fn mail(&self, to: &str, word: &str) -> Mail {
        eventually(&format!("a mail to {to} with {word}"), async || {
            self.of(to).into_iter().find(|mail| mail.text.contains(word))
        })
        .await
    }
}

impl Mail {
    /// The first link that has `part` in it.
    pub fn link(&self, part: &str) -> String {
        let mut links =
            self.text.split(['"', '<', '>', ' ', '\r', '\n']).filter(|word| word.starts_with("http"));
        links
            .find(|link| link.contains(part))
            .unwrap_or_else(|| panic!("a link with {part} in {}", self.text))
            .to_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
