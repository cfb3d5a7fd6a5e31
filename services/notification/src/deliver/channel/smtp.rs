//! A mail server as a channel (SMTP, RFC 5321). Connections are kept and used again.
//!
//! A mail is final only when the server refuses its recipient. Whatever else fails is ours or the server's to repair, and
//! the mail waits for it (`refusal` decides, `standing` paces). Before the final dot an attempt ends at its deadline
//! without harm; after it the answer is waited for as long as RFC 5321 grants, for who is given up may have accepted.

mod hello;
mod kept;
mod message;
mod refusal;
mod server;
mod session;
mod standing;
mod trouble;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::values::EmailAddress;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use self::kept::Kept;
use self::refusal::Fault;
use self::server::{BadUrl, Server};
use self::session::{Letter, Session};
use self::standing::{Attempting, Standing};
use self::trouble::Trouble;
use super::Channel;
use crate::deliver::delivery::{Attempt, Delivery};
use crate::deliver::templates::MailTemplates;

pub(crate) use self::hello::HelloName;
pub(crate) use self::message::mailbox;

/// How long it may take to hand a mail over, from the connection to the answer to DATA: what RFC 5321 (4.5.3.2) grants a
/// single answer.
const HAND_OVER: Duration = Duration::from_mins(5);
/// How long the answer to the whole mail may take (RFC 5321, 4.5.3.2.6).
const ANSWER: Duration = Duration::from_mins(10);
/// Longer than this is worth a line in the log.
const SLOW: Duration = Duration::from_mins(1);

/// Gives messages to a mail server.
pub(crate) struct Smtp {
    server: Server,
    from: Mailbox,
    letters: Arc<MailTemplates>,
    /// Mails at the same time, each over a connection of its own.
    connections: usize,
    kept: Kept,
    standing: Standing,
    /// People were told that the server is slow; once, until it has accepted a mail.
    slow: AtomicBool,
}

impl Smtp {
    /// The server at `url`; no connection is made yet. `from` is in A-labels.
    pub(crate) fn new(
        url: &SecretString,
        hello: Option<HelloName>,
        connections: usize,
        from: Mailbox,
        letters: Arc<MailTemplates>,
    ) -> Result<Self, BadUrl> {
        let server = Server::parse(url.expose_secret(), hello)?;
        let (kept, standing) = (Kept::default(), Standing::default());
        Ok(Self { server, from, letters, connections, kept, standing, slow: AtomicBool::new(false) })
    }

    /// Hands a mail over.
    async fn hand_over(&self, letter: &Letter) -> Result<(), Trouble> {
        let deadline = Instant::now() + HAND_OVER;
        let mut session = self.begin(letter, deadline).await?;
        let sent = match session.address(letter, deadline).await {
            Ok(()) => session.send(letter, Instant::now() + ANSWER).await,
            refused => refused,
        };
        match sent {
            Ok(()) => self.kept.keep(session),
            Err(ref trouble) => self.leave(session, trouble).await,
        }
        sent
    }

    /// Waits for the end of a hand-over, and tells people once when that takes long.
    async fn patiently(&self, hand_over: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
        let mut hand_over = std::pin::pin!(hand_over);
        if let Ok(sent) = tokio::time::timeout(SLOW, &mut hand_over).await {
            return sent;
        }
        if !self.slow.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the mail server has been handed a mail for {SLOW:?} and has not accepted it yet; it is waited for"
            );
        }
        hand_over.await
    }

    /// A connection on which the mail is begun: a kept one or, where the server has closed that meanwhile, a new one.
    async fn begin(&self, letter: &Letter, deadline: Instant) -> Result<Session, Trouble> {
        loop {
            let (kept, mut session) = match self.kept.take() {
                Some(session) => (true, session),
                None => (false, Session::open(&self.server, deadline).await?),
            };
            match session.begin(letter, deadline).await {
                Ok(()) => return Ok(session),
                Err(trouble) if kept && trouble.is_hang_up() => {}
                Err(trouble) => {
                    self.leave(session, &trouble).await;
                    return Err(trouble);
                }
            }
        }
    }

    /// What becomes of a connection after a failure: a mail that was not begun leaves it as it was, a refusal is the last
    /// answer on it, and after anything else an answer may still be on its way, which the next mail would take for its own.
    async fn leave(&self, session: Session, trouble: &Trouble) {
        if trouble.is_before_the_mail() {
            self.kept.keep(session);
        } else if trouble.is_refusal() {
            session.end().await;
        }
    }

    /// Notes how the attempt ended, and tells people of an outage's beginning and end.
    fn note(
        &self,
        attempting: &Attempting<'_>,
        delivery: &Delivery,
        to: &EmailAddress,
        sent: &Result<(), Trouble>,
    ) {
        let trouble = match sent {
            Ok(()) => {
                self.slow.store(false, Ordering::Relaxed);
                if let Some(refused) = attempting.accepted(delivery.id) {
                    let seconds = refused.as_secs();
                    tracing::info!(seconds, "the mail server accepts mails again; those that wait are sent");
                }
                return;
            }
            Err(trouble) => trouble,
        };
        if attempting.refused(delivery.id, trouble.fault()) {
            let (local, _) = to.expose().rsplit_once('@').unwrap_or_default();
            let (stage, answer, check) = (trouble.stage, trouble.alarm(local), trouble.stage.check());
            tracing::warn!(%stage, answer, check, "mails cannot be handed over; they wait and are tried until it works");
        }
    }
}

impl Channel for Smtp {
    const CHANNEL: events::Channel = events::Channel::Smtp;
    const QUEUE: &'static str = "smtp";
    const LEASE: Duration = Duration::from_secs(15);
    /// One last moment to close a connection.
    const DEADLINE: Duration = HAND_OVER.saturating_add(ANSWER).saturating_add(Duration::from_secs(5));

    fn concurrency(&self) -> usize {
        self.connections
    }

    fn room(&self, wanted: i64) -> i64 {
        self.kept.close_idle();
        self.standing.room(wanted)
    }

    async fn send(&self, delivery: &Delivery, to: &EmailAddress) -> Attempt {
        let letter = match message::letter(delivery, &self.from, to, &self.letters) {
            Ok(letter) => letter,
            // The server never sees it; a corrected template or setting brings it on its way.
            Err(error) => {
                if delivery.tries.attempts == 1 {
                    tracing::warn!(delivery_id = %delivery.id, %error, "a mail cannot be made; it waits");
                }
                return Attempt::Blocked(error.to_string());
            }
        };
        let attempting = self.standing.attempt();
        let sent = self.patiently(self.hand_over(&letter)).await;
        self.note(&attempting, delivery, to, &sent);
        match sent {
            Ok(()) => Attempt::Accepted,
            Err(trouble) => match trouble.fault() {
                Fault::Recipient => Attempt::Never(trouble.cause()),
                Fault::Mailbox => Attempt::NotNow(trouble.cause()),
                Fault::Mail | Fault::Server => Attempt::Blocked(trouble.cause()),
            },
        }
    }
}
