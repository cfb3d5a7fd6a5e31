//! One connection to the mail server: mailin's session, but where the test's script says otherwise.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mailin::response::{INTERNAL_ERROR, OK};
use mailin::{Action, Handler, Response, SessionBuilder};

use super::script::At;
use super::{Inbox, Mail, Mood};

/// What mailin knows of a connection.
struct Session {
    inbox: Inbox,
    to: String,
    data: Vec<u8>,
}

/// A connection as the script sees it.
struct Connection<'a> {
    stream: &'a TcpStream,
    session: mailin::Session<Session>,
    inbox: Inbox,
    in_text: bool,
}

/// Serves a connection until the client leaves.
pub(super) fn serve(stream: &TcpStream, inbox: Inbox) -> io::Result<()> {
    let handler = Session { inbox: inbox.clone(), to: String::new(), data: Vec::new() };
    let session = SessionBuilder::new("mail.test").build(stream.peer_addr()?.ip(), handler);
    stream.set_nodelay(true)?;
    let changes = inbox.script.changes();
    let mut connection = Connection { stream, session, inbox, in_text: false };
    if !connection.greet()? {
        return Ok(());
    }
    let (mut lines, mut line) = (BufReader::new(stream), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        // The answers are others now: they hold for connections that are made from now on.
        let outdated = !connection.in_text && connection.inbox.script.changes() != changes;
        if outdated || !connection.hear(&line)? {
            break;
        }
        line.clear();
    }
    Ok(())
}

impl Connection<'_> {
    /// `false`: this was the last answer.
    fn greet(&mut self) -> io::Result<bool> {
        let set = self.inbox.script.set(At::Greeting);
        let goes_on = set.is_none();
        let words = set.map_or_else(|| self.session.greeting().buffer(), |words| Ok(words.into_bytes()))?;
        self.say(&words)?;
        Ok(goes_on)
    }

    /// Answers a line; `false`: this was the last answer.
    fn hear(&mut self, line: &[u8]) -> io::Result<bool> {
        let said = String::from_utf8_lossy(line).into_owned();
        let at = if self.in_text {
            (said == ".\r\n").then_some(At::Content)
        } else {
            self.inbox.script.hear(&said);
            At::of(&said)
        };
        let set = at.and_then(|at| self.inbox.script.set(at));
        if let Some(words) = &set {
            self.say(words.as_bytes())?;
            if !words.starts_with('2') {
                // The session would stay in the mail that it did not refuse itself.
                return Ok(at != Some(At::Content));
            }
        }
        let response = match at {
            Some(At::Sender) => self.session.process(&without_parameters(&said)),
            _ => self.session.process(line),
        };
        self.in_text = (self.in_text && at.is_none()) || response.code == 354;
        if response.action != Action::NoReply && set.is_none() {
            self.say(&response.buffer()?)?;
        }
        // A refusal ends the connection too: the session would stay in the mail that it refused.
        Ok(response.action != Action::Close && !response.is_error)
    }

    /// A reply written piece by piece is held back by 40 ms a piece (Nagle's algorithm against delayed acknowledgements).
    fn say(&mut self, words: &[u8]) -> io::Result<()> {
        self.inbox.script.think();
        self.stream.write_all(words)
    }
}

/// MAIL FROM without the parameters that the session does not know.
fn without_parameters(said: &str) -> Vec<u8> {
    let (command, _) = said.split_once('>').unwrap_or((said, ""));
    format!("{command}>\r\n").into_bytes()
}

impl Handler for Session {
    fn rcpt(&mut self, to: &str) -> Response {
        to.clone_into(&mut self.to);
        OK
    }

    fn data(&mut self, part: &[u8]) -> io::Result<()> {
        self.data.extend_from_slice(part);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.data)).into_owned();
        // Quoted-printable: soft line ends, and the equal signs of links.
        let text = text.replace("=\r\n", "").replace("=3D", "=");
        let mail = Mail { to: self.to.clone(), text, at: Instant::now() };
        self.inbox.offers.lock().unwrap().push(mail.clone());
        let mood = || *self.inbox.mood.lock().unwrap();
        let first = mood();
        while mood() == first && matches!(first, Mood::Silent | Mood::Late) {
            std::thread::sleep(Duration::from_millis(20));
        }
        match first {
            Mood::Taking | Mood::Late => {}
            Mood::Refusing | Mood::Silent => return INTERNAL_ERROR,
        }
        let pause = *self.inbox.pause.lock().unwrap();
        std::thread::sleep(pause);
        self.inbox.mails.lock().unwrap().push(mail);
        OK
    }
}
