//! One connection to the mail server: the session of the `mailin` crate, except where the test's script sets an answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mailin::response::{INTERNAL_ERROR, OK};
use mailin::{Action, Handler, Response, SessionBuilder};

use super::script::At;
use super::{Inbox, Mail, Reaction};

/// The handler of a `mailin` session.
struct Session {
    inbox: Inbox,
    to: String,
    data: Vec<u8>,
}

/// A connection whose answers come from the script or from `mailin`.
struct Connection<'a> {
    stream: &'a TcpStream,
    session: mailin::Session<Session>,
    inbox: Inbox,
    in_text: bool,
}

/// Serves a connection until the client closes it.
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
        // A test has changed the answers, which apply to new connections.
        let outdated = !connection.in_text && connection.inbox.script.changes() != changes;
        if outdated || !connection.hear(&line)? {
            break;
        }
        line.clear();
    }
    Ok(())
}

impl Connection<'_> {
    /// Sends the greeting. Returns whether the connection stays open.
    fn greet(&mut self) -> io::Result<bool> {
        let set = self.inbox.script.set(At::Greeting);
        let stays_open = set.is_none();
        let words = set.map_or_else(|| self.session.greeting().buffer(), |words| Ok(words.into_bytes()))?;
        self.say(&words)?;
        Ok(stays_open)
    }

    /// Answers a line. Returns whether the connection stays open.
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
                // The session did not reject the mail itself and so would remain in the middle of it.
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
        // A rejection closes the connection too: the session would remain in the middle of the rejected mail.
        Ok(response.action != Action::Close && !response.is_error)
    }

    /// Writes an answer in one piece: written piecewise, each piece would be delayed by 40 ms (Nagle's algorithm with
    /// delayed acknowledgements).
    fn say(&mut self, words: &[u8]) -> io::Result<()> {
        self.inbox.script.think();
        self.stream.write_all(words)
    }
}

/// Returns a MAIL FROM line without parameters, which the session does not know.
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
        // Decodes quoted-printable, as far as needed: soft line breaks, and the equal signs of links.
        let text = text.replace("=\r\n", "").replace("=3D", "=");
        let mail = Mail { to: self.to.clone(), text, at: Instant::now() };
        self.inbox.offers.lock().unwrap().push(mail.clone());
        let reaction = || *self.inbox.reaction.lock().unwrap();
        let first = reaction();
        while reaction() == first && matches!(first, Reaction::Silent | Reaction::Late) {
            std::thread::sleep(Duration::from_millis(20));
        }
        match first {
            Reaction::Accept | Reaction::Late => {}
            Reaction::Reject | Reaction::Silent => return INTERNAL_ERROR,
        }
        let pause = *self.inbox.pause.lock().unwrap();
        std::thread::sleep(pause);
        self.inbox.mails.lock().unwrap().push(mail);
        OK
    }
}
