//! A mail server as a channel (SMTP, RFC 5321), over pooled connections.
//!
//! Of the server's answers, only a refusal of the recipient fails a mail for good; after any other the mail waits until the cause
//! is repaired here or at the server (`reply` decides, `health` paces). Before the final dot an attempt is cut off at its deadline
//! without harm; after it the client waits for the answer as long as RFC 5321 grants, since the server may have accepted the mail.

mod ehlo;
mod error;
mod health;
mod message;
mod pool;
mod reply;
mod server;
mod session;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::values::EmailAddress;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use self::error::SmtpError;
use self::health::{AttemptGuard, Health};
use self::pool::Pool;
use self::reply::Scope;
use self::server::{BadUrl, Server};
use self::session::{OutgoingMail, Session};
use super::Channel;
use crate::delivery::templates::MailTemplates;
use crate::domain::delivery::{Attempt, Delivery};

pub(crate) use self::ehlo::EhloName;
pub(crate) use self::message::mailbox;

/// The time for everything from the connection to the answer to DATA: what RFC 5321 (4.5.3.2) grants a single answer.
const HAND_OVER: Duration = Duration::from_mins(5);
/// The time for the answer to the whole mail (RFC 5321, 4.5.3.2.6).
const ANSWER: Duration = Duration::from_mins(10);
/// An attempt that takes longer is logged.
const SLOW: Duration = Duration::from_mins(1);

pub(crate) struct Smtp {
    server: Server,
    from: Mailbox,
    templates: Arc<MailTemplates>,
    /// Mails sent at the same time, each over its own connection.
    connections: usize,
    pool: Pool,
    health: Health,
    /// The warning that the server is slow is logged; cleared when it accepts a mail.
    slow: AtomicBool,
}

impl Smtp {
    /// The server at `url`; no connection is made yet. The domain of `from` is in A-labels.
    pub(crate) fn new(
        url: &SecretString,
        ehlo: Option<EhloName>,
        connections: usize,
        from: Mailbox,
        templates: Arc<MailTemplates>,
    ) -> Result<Self, BadUrl> {
        let server = Server::parse(url.expose_secret(), ehlo)?;
        let (pool, health) = (Pool::default(), Health::default());
        Ok(Self { server, from, templates, connections, pool, health, slow: AtomicBool::new(false) })
    }

    async fn hand_over(&self, mail: &OutgoingMail) -> Result<(), SmtpError> {
        let deadline = Instant::now() + HAND_OVER;
        let mut session = self.begin(mail, deadline).await?;
        let sent = match session.address(mail, deadline).await {
            Ok(()) => session.send(mail, Instant::now() + ANSWER).await,
            refused => refused,
        };
        match sent {
            Ok(()) => self.pool.put(session),
            Err(ref error) => self.release(session, error).await,
        }
        sent
    }

    /// Awaits a hand-over, and logs one warning when it takes long.
    async fn warn_when_slow(
        &self,
        hand_over: impl Future<Output = Result<(), SmtpError>>,
    ) -> Result<(), SmtpError> {
        let mut hand_over = std::pin::pin!(hand_over);
        if let Ok(sent) = tokio::time::timeout(SLOW, &mut hand_over).await {
            return sent;
        }
        if !self.slow.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the mail server has not accepted a mail within {SLOW:?}; the mail waits for its answer"
            );
        }
        hand_over.await
    }

    /// Begins the mail on a pooled connection or, when the server has closed that meanwhile, on a new one.
    async fn begin(&self, mail: &OutgoingMail, deadline: Instant) -> Result<Session, SmtpError> {
        loop {
            let (pooled, mut session) = match self.pool.take() {
                Some(session) => (true, session),
                None => (false, Session::open(&self.server, deadline).await?),
            };
            match session.begin(mail, deadline).await {
                Ok(()) => return Ok(session),
                Err(error) if pooled && error.is_hang_up() => {}
                Err(error) => {
                    self.release(session, &error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Returns a connection on which the mail was not begun to the pool, and ends one after a refusal. After any other failure the
    /// connection is dropped: a late answer could be taken for the answer to the next mail.
    async fn release(&self, session: Session, error: &SmtpError) {
        if error.is_before_the_mail() {
            self.pool.put(session);
        } else if error.is_refusal() {
            session.end().await;
        }
    }

    /// Records the result of an attempt, and logs the beginning and the end of an outage.
    fn record(
        &self,
        attempt: &AttemptGuard<'_>,
        delivery: &Delivery,
        to: &EmailAddress,
        sent: &Result<(), SmtpError>,
    ) {
        let error = match sent {
            Ok(()) => {
                self.slow.store(false, Ordering::Relaxed);
                if let Some(outage) = attempt.accepted(delivery.id) {
                    let seconds = outage.as_secs();
                    tracing::info!(seconds, "the mail server accepts mails again; waiting mails are sent");
                }
                return;
            }
            Err(error) => error,
        };
        if attempt.refused(delivery.id, error.scope()) {
            let (local, _) = to.expose().rsplit_once('@').unwrap_or_default();
            let (stage, answer, check) = (error.stage, error.details(local), error.stage.check());
            tracing::warn!(%stage, answer, check, "mails cannot be handed over; they wait and are retried");
        }
    }
}

impl Channel for Smtp {
    const CHANNEL: events::Channel = events::Channel::Smtp;
    const QUEUE: &'static str = "smtp";
    const LEASE: Duration = Duration::from_secs(15);
    /// With some seconds to close the connection.
    const DEADLINE: Duration = HAND_OVER.saturating_add(ANSWER).saturating_add(Duration::from_secs(5));

    fn concurrency(&self) -> usize {
        self.connections
    }

    fn ahead(&self) -> usize {
        7 * self.connections
    }

    fn room(&self, wanted: i64) -> i64 {
        self.pool.close_idle();
        self.health.room(wanted)
    }

    async fn send(&self, delivery: &Delivery, to: &EmailAddress) -> Attempt {
        let mail = match message::build(delivery, &self.from, to, &self.templates) {
            Ok(mail) => mail,
            // The server never sees it; a corrected template or setting lets it go out.
            Err(error) => {
                if delivery.tries.attempts == 1 {
                    tracing::warn!(delivery_id = %delivery.id, %error, "a mail cannot be built; it waits");
                }
                return Attempt::Blocked(error.to_string());
            }
        };
        let attempt = self.health.attempt();
        let sent = self.warn_when_slow(self.hand_over(&mail)).await;
        self.record(&attempt, delivery, to, &sent);
        match sent {
            Ok(()) => Attempt::Accepted,
            Err(error) => match error.scope() {
                Scope::Recipient => Attempt::Rejected(error.cause()),
                Scope::Mailbox => Attempt::Deferred(error.cause()),
                Scope::Mail | Scope::Server => Attempt::Blocked(error.cause()),
            },
        }
    }
}
