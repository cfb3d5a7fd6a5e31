//! The dialogue with a mail server over one connection (RFC 5321): lettre's, one stage at a time, so that each failure has its stage
//! and each answer its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::ehlo::EhloName;
use super::error::SmtpError;
use super::reply::Stage;
use super::server::{Security, Server};
use super::stream::ObservedStream;

/// The time to connect.
const CONNECT: Duration = Duration::from_secs(30);
/// The time for QUIT.
const QUIT: Duration = Duration::from_secs(1);

/// A connection on which mails can be handed over. After a failure other than a refusal it must be dropped: an answer may still
/// arrive.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
}

/// A mail in its form for the server.
pub(super) struct OutgoingMail {
    pub envelope: Envelope,
    pub text: Vec<u8>,
}

impl Session {
    /// Connects to `server`, sends EHLO, encrypts and logs in, all before `deadline`.
    pub(super) async fn open(server: &Server, deadline: Instant) -> Result<Self, SmtpError> {
        let stream = connect(server, deadline).await?;
        let addresses = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
        let (peer, own) = addresses.map_err(|error| SmtpError::broken(Stage::Connect, &error))?;
        let ehlo = server.ehlo.clone().unwrap_or_else(|| EhloName::of_host(own.ip())).client_id();
        let written = Arc::new(AtomicBool::new(false));
        let stream = observe(server, stream, peer, &written, deadline).await?;
        let greeted = timeout_at(deadline, AsyncSmtpConnection::connect_with_transport(stream, &ehlo)).await;
        let stage = if written.load(Ordering::Relaxed) { Stage::Ehlo } else { Stage::Greeting };
        let connection =
            greeted.map_err(|_| SmtpError::timeout(stage))?.map_err(|error| SmtpError::new(stage, &error))?;
        let mut session = Self { connection };
        session.encrypt(server, &ehlo, deadline).await?;
        session.log_in(server, deadline).await?;
        Ok(session)
    }

    async fn encrypt(
        &mut self,
        server: &Server,
        ehlo: &ClientId,
        deadline: Instant,
    ) -> Result<(), SmtpError> {
        let offered = self.connection.can_starttls();
        let parameters: TlsParameters = match &server.security {
            Security::Opportunistic(parameters) | Security::Required(parameters) if offered => {
                parameters.clone()
            }
            Security::Required(_) => {
                let why = "the mail server offers no STARTTLS, which tls=required in SMTP_URL demands";
                return Err(SmtpError::unsupported(Stage::StartTls, why));
            }
            Security::None | Security::Opportunistic(_) | Security::Wrapper(..) => return Ok(()),
        };
        // A large future.
        let starttls = Box::pin(self.connection.starttls(parameters, ehlo));
        answered(Stage::StartTls, deadline, starttls).await
    }

    async fn log_in(&mut self, server: &Server, deadline: Instant) -> Result<(), SmtpError> {
        let Some(credentials) = &server.credentials else { return Ok(()) };
        if self.connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            let why =
                "the mail server offers no login by PLAIN or LOGIN, which the password in SMTP_URL needs";
            return Err(SmtpError::unsupported(Stage::Auth, why));
        }
        let auth = self.connection.auth(DEFAULT_MECHANISMS, credentials);
        answered(Stage::Auth, deadline, auth).await
    }

    /// Begins a mail (MAIL FROM).
    pub(super) async fn begin(&mut self, mail: &OutgoingMail, deadline: Instant) -> Result<(), SmtpError> {
        let parameters = self.parameters(mail)?;
        let command = Mail::new(mail.envelope.from().cloned(), parameters);
        answered(Stage::Sender, deadline, self.connection.command(command)).await
    }

    /// Names the recipients (RCPT TO), and announces the text (DATA).
    pub(super) async fn address(&mut self, mail: &OutgoingMail, deadline: Instant) -> Result<(), SmtpError> {
        for to in mail.envelope.to() {
            let recipient = Rcpt::new(to.clone(), Vec::new());
            answered(Stage::Recipient, deadline, self.connection.command(recipient)).await?;
        }
        answered(Stage::Data, deadline, self.connection.command(Data)).await
    }

    /// Sends the text, and waits until `deadline` for the answer to the whole mail.
    pub(super) async fn send(&mut self, mail: &OutgoingMail, deadline: Instant) -> Result<(), SmtpError> {
        answered(Stage::Content, deadline, self.connection.message(&mail.text)).await
    }

    /// Ends a connection on which the server has answered everything.
    pub(super) async fn end(mut self) {
        // The connection is closed in any case.
        let _ = timeout(QUIT, self.connection.abort()).await;
    }

    /// The parameters of MAIL FROM. A text that is not ASCII needs 8BITMIME, an address that is not ASCII SMTPUTF8 (RFC 6531).
    fn parameters(&self, mail: &OutgoingMail) -> Result<Vec<MailParameter>, SmtpError> {
        let can = |extension| self.connection.server_info().supports_feature(extension);
        let is_ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut parameters = Vec::new();
        let (from_ascii, to_ascii) =
            (mail.envelope.from().is_none_or(is_ascii), mail.envelope.to().iter().all(is_ascii));
        if !from_ascii || !to_ascii {
            if !can(Extension::SmtpUtfEight) {
                return Err(if to_ascii { sender_needs_utf8() } else { recipient_needs_utf8() });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.text.is_ascii() {
            if !can(Extension::EightBitMime) {
                let why = "the mail server does not announce 8BITMIME, which a text that is not ASCII needs";
                return Err(SmtpError::unsupported(Stage::Sender, why));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }
}

fn sender_needs_utf8() -> SmtpError {
    let why = "the mail server does not announce SMTPUTF8, which the name before the @ of MAIL_FROM needs";
    SmtpError::unsupported(Stage::Sender, why)
}

fn recipient_needs_utf8() -> SmtpError {
    SmtpError::unsendable(
        "the mail server does not announce SMTPUTF8, which the name before the @ of this address needs",
    )
}

/// Connects to the first address of the server that answers. An address that drops packets leaves the others their share of the
/// time.
async fn connect(server: &Server, deadline: Instant) -> Result<TcpStream, SmtpError> {
    let deadline = deadline.min(Instant::now() + CONNECT);
    let resolved = timeout_at(deadline, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
    let unknown =
        |_| SmtpError::unsupported(Stage::Connect, "the name of the mail server is not known here (DNS)");
    let addresses = resolved.map_err(|_| SmtpError::timeout(Stage::Connect))?.map_err(unknown)?;
    let mut last = SmtpError::timeout(Stage::Connect);
    let addresses: Vec<_> = addresses.collect();
    for (number, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // lettre writes the end of a mail as a packet of its own; Nagle's algorithm would delay it by 40 ms.
                stream.set_nodelay(true).map_err(|error| SmtpError::broken(Stage::Connect, &error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = SmtpError::broken(Stage::Connect, &error),
            Err(_) => last = SmtpError::timeout(Stage::Connect),
        }
    }
    Err(last)
}

/// Wraps the stream, encrypted where the server demands TLS from the first byte.
async fn observe(
    server: &Server,
    stream: TcpStream,
    peer: SocketAddr,
    written: &Arc<AtomicBool>,
    deadline: Instant,
) -> Result<Box<dyn AsyncTokioStream>, SmtpError> {
    let Security::Wrapper(tls, name) = &server.security else {
        return Ok(Box::new(ObservedStream::new(stream, peer, written)));
    };
    let encrypted = timeout_at(deadline, tls.connect(name.clone(), stream)).await;
    let stream = encrypted
        .map_err(|_| SmtpError::timeout(Stage::Tls))?
        .map_err(|error| SmtpError::broken(Stage::Tls, &error))?;
    Ok(Box::new(ObservedStream::new(stream, peer, written)))
}

/// Awaits the server's answer at `stage`.
async fn answered<T>(
    stage: Stage,
    deadline: Instant,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<(), SmtpError> {
    let answer = timeout_at(deadline, answer).await.map_err(|_| SmtpError::timeout(stage))?;
    answer.map(drop).map_err(|error| SmtpError::new(stage, &error))
}
