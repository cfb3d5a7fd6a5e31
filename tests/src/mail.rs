//! A real mail server for tests: it takes mails, and refuses them when it is told to.

use std::io::{self, BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mailin::response::{INTERNAL_ERROR, OK};
use mailin::{Action, Handler, Response, SessionBuilder};

use crate::wait::eventually;

/// The mails that came, oldest first.
#[derive(Clone, Default)]
pub struct Inbox {
    mails: Arc<Mutex<Vec<Mail>>>,
    refusing: Arc<AtomicBool>,
    port: u16,
}

/// A mail as it came over SMTP.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// Whom it is for.
    pub to: String,
    /// Headers and body, without the folds of its encoding.
    pub text: String,
}

/// One connection.
#[derive(Clone)]
struct Session {
    inbox: Inbox,
    to: String,
    data: Vec<u8>,
}

impl Inbox {
    /// Opens a mail server on a free port; it ends with the test's process.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inbox = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let incoming = inbox.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let session = Session { inbox: incoming.clone(), to: String::new(), data: Vec::new() };
                // A client that hangs up in the middle is its own business.
                std::thread::spawn(move || talk(&stream, session));
            }
        });
        inbox
    }

    /// For `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on mails are refused for the time being (4xx), or taken.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
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

/// One connection, until the client leaves.
fn talk(stream: &TcpStream, session: Session) -> io::Result<()> {
    let mut session = SessionBuilder::new("mail.test").build(stream.peer_addr()?.ip(), session);
    let mut out = stream;
    session.greeting().write_to(&mut out)?;
    let (mut lines, mut line) = (BufReader::new(stream), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        let response = session.process(&line);
        line.clear();
        if response.action != Action::NoReply {
            response.write_to(&mut out)?;
        }
        if response.action == Action::Close {
            break;
        }
    }
    Ok(())
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
        if self.inbox.refusing.load(Ordering::SeqCst) {
            return INTERNAL_ERROR;
        }
        // Quoted-printable: soft line ends, and the equal signs of links.
        let text = text.replace("=\r\n", "").replace("=3D", "=");
        self.inbox.mails.lock().unwrap().push(Mail { to: self.to.clone(), text });
        OK
    }
}
