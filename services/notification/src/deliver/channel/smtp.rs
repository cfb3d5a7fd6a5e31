//! A mail server as a channel (SMTP, RFC 5321). Connections are kept and used again; a repeated mail has the same
//! `Message-ID`, so that a reader's program shows it once.

mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::values::{DeliveryId, EmailAddress};
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, Message, SmtpTransport, Transport};
use secrecy::{ExposeSecret, SecretString};

use super::Channel;
use crate::deliver::delivery::{Attempt, Delivery};
use crate::deliver::letter::Letters;

/// How long the server may take for one answer: long, for who is given up may have accepted, and gets it again.
const ANSWER: Duration = Duration::from_secs(30);

/// Gives messages to a mail server.
pub(crate) struct Smtp {
    /// The one on threads: it ends a connection whose answer did not come. The asynchronous one waits for ever, and when
    /// it is dropped while it does, it keeps the connection; the next mail would take the late answer for its own.
    transport: SmtpTransport,
    from: Mailbox,
    letters: Arc<Letters>,
    /// The server did not answer the last time; said once, not for every message.
    away: AtomicBool,
}

/// Why no mail can be sent with these settings.
#[derive(Debug, thiserror::Error)]
#[error("SMTP_URL is not usable ({0}); smtp://user:password@host:587?tls=required is one that is")]
pub(crate) struct BadUrl(lettre::transport::smtp::Error);

/// Why a letter is no mail.
#[derive(Debug, thiserror::Error)]
enum Unmailable {
    #[error("the template does not render: {0}")]
    Template(#[from] minijinja::Error),
    #[error("the mail cannot be built: {0}")]
    Build(#[from] lettre::error::Error),
    #[error("the mail cannot be built: {0}")]
    Header(#[from] lettre::message::header::InvalidHeaderName),
}

impl Smtp {
    /// The server at `url`; no connection is made yet.
    pub(crate) fn new(url: &SecretString, from: Mailbox, letters: Arc<Letters>) -> Result<Self, BadUrl> {
        let pool = PoolConfig::new().max_size(u32::try_from(Self::CONCURRENCY).unwrap_or(u32::MAX));
        let transport = SmtpTransport::from_url(url.expose_secret())
            .map_err(BadUrl)?
            .timeout(Some(ANSWER))
            .pool_config(pool)
            .build();
        Ok(Self { transport, from, letters, away: AtomicBool::new(false) })
    }

    fn mail(&self, delivery: &Delivery, to: &EmailAddress) -> Result<Message, Unmailable> {
        let text = self.letters.text(&delivery.content)?;
        let html = self.letters.html(&delivery.content)?;
        // It was read by the rules once already; lettre's own know no local part that is longer than 64 octets, neither
        // here nor where an envelope is made of the headers.
        let (user, domain) = to.expose().rsplit_once('@').unwrap_or_default();
        let to = Address::new_dangerous(user, domain);
        let mut mail = Message::builder()
            .envelope(Envelope::new(Some(self.from.email.clone()), vec![to.clone()])?)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(text.subject)
            .message_id(Some(message_id(delivery.id, &self.from)))
            .multipart(MultiPart::alternative_plain_html(text.body, html))?;
        // No answer by a machine to a machine (RFC 3834).
        add(&mut mail, "Auto-Submitted", "auto-generated".to_owned())?;
        if let Some(link) = self.letters.unsubscribe(&delivery.content) {
            // One click in the mail program itself (RFC 8058).
            add(&mut mail, "List-Unsubscribe", format!("<{link}>"))?;
            add(&mut mail, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())?;
        }
        Ok(mail)
    }
}

fn add(mail: &mut Message, name: &str, value: String) -> Result<(), Unmailable> {
    let name = HeaderName::new_from_ascii(name.to_owned())?;
    mail.headers_mut().insert_raw(HeaderValue::new(name, value));
    Ok(())
}

fn message_id(id: DeliveryId, from: &Mailbox) -> String {
    format!("<{id}@{}>", from.email.domain())
}

impl Channel for Smtp {
    const CHANNEL: events::Channel = events::Channel::Smtp;
    const QUEUE: &'static str = "smtp";
    const CONCURRENCY: usize = 8;
    const LEASE: Duration = Duration::from_secs(40);

    async fn send(&self, delivery: &Delivery, to: &EmailAddress) -> Attempt {
        let mail = match self.mail(delivery, to) {
            Ok(mail) => mail,
            // The server would never see it; a corrected template or setting may still bring it on its way.
            Err(error @ Unmailable::Template(_)) => return Attempt::NotNow(error.to_string()),
            Err(error) => return Attempt::Never(error.to_string()),
        };
        let transport = self.transport.clone();
        let Ok(sent) = tokio::task::spawn_blocking(move || transport.send(&mail)).await else {
            return Attempt::NotNow("sending broke off".to_owned());
        };
        match sent {
            Ok(_) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the mail server is back");
                }
                Attempt::Accepted
            }
            Err(error) => {
                let attempt = refusal::attempt(&error);
                if error.status().is_none() && !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the mail server does not answer; mails wait and are tried again");
                }
                attempt
            }
        }
    }
}
