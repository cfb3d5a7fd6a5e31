//! The dialogue with a mail server over one connection (RFC 5321). It is lettre's; here it is taken stage by stage, so that
//! each failure has its stage and each answer its time.

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
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::hello::HelloName;
use super::refusal::Stage;
use super::server::{Security, Server};
use super::trouble::Trouble;
use super::wire::Wire;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a server is waited for that is only told good-bye.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// A connection on which mails can be handed over. It is of no use after a failure: an answer may still be on its way.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
}

/// A mail as it goes over the wire.
pub(super) struct Letter {
    pub envelope: Envelope,
    pub text: Vec<u8>,
}

impl Session {
    /// Connects to `server`, greets it, encrypts and logs in, all until `deadline`.
    pub(super) async fn open(server: &Server, deadline: Instant) -> Result<Self, Trouble> {
        let stream = connect(server, deadline).await?;
        let addresses = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
        let (peer, own) = addresses.map_err(|error| Trouble::broken(Stage::Connect, &error))?;
        let hello = server.hello.clone().unwrap_or_else(|| HelloName::of_host(own.ip())).client_id();
        let spoken = Arc::new(AtomicBool::new(false));
        let wire = wire(server, stream, peer, &spoken, deadline).await?;
        let greeted = timeout_at(deadline, AsyncSmtpConnection::connect_with_transport(wire, &hello)).await;
        let stage = if spoken.load(Ordering::Relaxed) { Stage::Hello } else { Stage::Greeting };
        let connection =
            greeted.map_err(|_| Trouble::silent(stage))?.map_err(|error| Trouble::new(stage, &error))?;
        let mut session = Self { connection };
        session.encrypt(server, &hello, deadline).await?;
        session.log_in(server, deadline).await?;
        Ok(session)
    }

    async fn encrypt(&mut self, server: &Server, hello: &ClientId, deadline: Instant) -> Result<(), Trouble> {
        let offered = self.connection.can_starttls();
        let parameters: TlsParameters = match &server.security {
            Security::Opportunistic(parameters) | Security::Required(parameters) if offered => {
                parameters.clone()
            }
            Security::Required(_) => {
                let why = "the mail server offers no STARTTLS, which tls=required in SMTP_URL demands";
                return Err(Trouble::unfit(Stage::StartTls, why));
            }
            Security::None | Security::Opportunistic(_) | Security::Wrapper(..) => return Ok(()),
        };
        let encrypted = timeout_at(deadline, self.connection.starttls(parameters, hello)).await;
        let error = match encrypted {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Trouble::new(Stage::StartTls, &error),
            Err(_) => Trouble::silent(Stage::StartTls),
        };
        Err(error)
    }

    async fn log_in(&mut self, server: &Server, deadline: Instant) -> Result<(), Trouble> {
        let Some(credentials) = &server.credentials else { return Ok(()) };
        if self.connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            let why =
                "the mail server offers no login by PLAIN or LOGIN, which the password in SMTP_URL needs";
            return Err(Trouble::unfit(Stage::Auth, why));
        }
        let auth = self.connection.auth(DEFAULT_MECHANISMS, credentials);
        answered(Stage::Auth, deadline, auth).await
    }

    /// Begins a mail: says whom it is from.
    pub(super) async fn begin(&mut self, letter: &Letter, deadline: Instant) -> Result<(), Trouble> {
        let parameters = self.parameters(letter)?;
        let mail = Mail::new(letter.envelope.from().cloned(), parameters);
        answered(Stage::Sender, deadline, self.connection.command(mail)).await
    }

    /// Says whom the mail that was begun is for, and that its text follows.
    pub(super) async fn address(&mut self, letter: &Letter, deadline: Instant) -> Result<(), Trouble> {
        for to in letter.envelope.to() {
            let recipient = Rcpt::new(to.clone(), Vec::new());
            answered(Stage::Recipient, deadline, self.connection.command(recipient)).await?;
        }
        answered(Stage::Data, deadline, self.connection.command(Data)).await
    }

    /// Sends the text, and waits until `deadline` for the answer to the whole.
    pub(super) async fn send(&mut self, letter: &Letter, deadline: Instant) -> Result<(), Trouble> {
        answered(Stage::Content, deadline, self.connection.message(&letter.text)).await
    }

    /// Ends a connection on which the server has answered everything.
    pub(super) async fn end(mut self) {
        // Whether it hears it or not, the connection is closed.
        let _ = timeout(GOOD_BYE, self.connection.abort()).await;
    }

    /// The parameters of MAIL FROM. Text that is not ASCII needs 8BITMIME, an address that is not ASCII SMTPUTF8 (RFC 6531).
    fn parameters(&self, letter: &Letter) -> Result<Vec<MailParameter>, Trouble> {
        let can = |extension| self.connection.server_info().supports_feature(extension);
        let is_ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut parameters = Vec::new();
        let (from_ascii, to_ascii) =
            (letter.envelope.from().is_none_or(is_ascii), letter.envelope.to().iter().all(is_ascii));
        if !from_ascii || !to_ascii {
            if !can(Extension::SmtpUtfEight) {
                return Err(if to_ascii { sender_needs_utf8() } else { recipient_needs_utf8() });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !letter.text.is_ascii() {
            if !can(Extension::EightBitMime) {
                let why = "the mail server does not announce 8BITMIME, which a text that is not ASCII needs";
                return Err(Trouble::unfit(Stage::Sender, why));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }
}

fn sender_needs_utf8() -> Trouble {
    let why = "the mail server does not announce SMTPUTF8, which the name before the @ of MAIL_FROM needs";
    Trouble::unfit(Stage::Sender, why)
}

fn recipient_needs_utf8() -> Trouble {
    Trouble::unsendable(
        "the mail server does not announce SMTPUTF8, which the name before the @ of this address needs",
    )
}

/// Connects to the first address of the server that answers.
async fn connect(server: &Server, deadline: Instant) -> Result<TcpStream, Trouble> {
    let deadline = deadline.min(Instant::now() + CONNECT);
    let resolved = timeout_at(deadline, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
    let unknown = |_| Trouble::unfit(Stage::Connect, "the name of the mail server is not known here (DNS)");
    let addresses = resolved.map_err(|_| Trouble::silent(Stage::Connect))?.map_err(unknown)?;
    let mut last = Trouble::silent(Stage::Connect);
    for address in addresses {
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The end of a mail is a packet of its own; held back for the acknowledgement of the text, it costs 40 ms.
                stream.set_nodelay(true).map_err(|error| Trouble::broken(Stage::Connect, &error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = Trouble::broken(Stage::Connect, &error),
            Err(_) => return Err(Trouble::silent(Stage::Connect)),
        }
    }
    Err(last)
}

async fn wire(
    server: &Server,
    stream: TcpStream,
    peer: SocketAddr,
    spoken: &Arc<AtomicBool>,
    deadline: Instant,
) -> Result<Box<dyn AsyncTokioStream>, Trouble> {
    let Security::Wrapper(tls, name) = &server.security else {
        return Ok(Box::new(Wire::new(stream, peer, spoken)));
    };
    let encrypted = timeout_at(deadline, tls.connect(name.clone(), stream)).await;
    let stream = encrypted
        .map_err(|_| Trouble::silent(Stage::Tls))?
        .map_err(|error| Trouble::broken(Stage::Tls, &error))?;
    Ok(Box::new(Wire::new(stream, peer, spoken)))
}

/// Waits for the server's answer to what was said at `stage`.
async fn answered(
    stage: Stage,
    deadline: Instant,
    answer: impl Future<Output = Result<Response, Error>>,
) -> Result<(), Trouble> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Trouble::new(stage, &error)),
        Err(_) => Err(Trouble::silent(stage)),
    }
}
