//! The errors of a hand-over.

use std::error::Error as _;

use lettre::transport::smtp::Error;

use super::reply::{Reply, Scope, Stage};

/// A failure, and the stage at which it happened.
#[derive(Debug)]
pub(super) struct SmtpError {
    pub stage: Stage,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The server refused.
    Refused(Reply),
    /// The server did not answer in time.
    Timeout,
    /// The connection could not be made, broke, or the server does not speak SMTP.
    Broken(String),
    /// The server lacks what the settings demand.
    Unsupported(String),
    /// The server can never accept this mail.
    Unsendable(&'static str),
}

impl SmtpError {
    /// Converts lettre's error at `stage`.
    pub(super) fn new(stage: Stage, error: &Error) -> Self {
        let text = || error.source().map(ToString::to_string).unwrap_or_default();
        let kind = match error.status() {
            Some(code) => Kind::Refused(Reply { code: code.into(), text: text() }),
            None if error.is_client() => Kind::Unsupported(text()),
            None => Kind::Broken(text()),
        };
        Self { stage, kind }
    }

    pub(super) fn timeout(stage: Stage) -> Self {
        Self { stage, kind: Kind::Timeout }
    }

    pub(super) fn broken(stage: Stage, why: &dyn ToString) -> Self {
        Self { stage, kind: Kind::Broken(why.to_string()) }
    }

    /// `why` is a sentence about the server.
    pub(super) fn unsupported(stage: Stage, why: impl Into<String>) -> Self {
        Self { stage, kind: Kind::Unsupported(why.into()) }
    }

    /// `why` is a sentence about the mail.
    pub(super) fn unsendable(why: &'static str) -> Self {
        Self { stage: Stage::Sender, kind: Kind::Unsendable(why) }
    }

    /// The server may have closed an idle connection: a new one may work.
    pub(super) fn is_hang_up(&self) -> bool {
        match &self.kind {
            Kind::Refused(reply) => reply.code == 421,
            Kind::Broken(_) => true,
            Kind::Timeout | Kind::Unsupported(_) | Kind::Unsendable(_) => false,
        }
    }

    /// The server refused, and waits for the next command.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Refused(_))
    }

    /// The mail was not begun: the server does not announce what it needs.
    pub(super) fn is_before_the_mail(&self) -> bool {
        self.stage == Stage::Sender && matches!(self.kind, Kind::Unsupported(_) | Kind::Unsendable(_))
    }

    pub(super) fn scope(&self) -> Scope {
        match &self.kind {
            Kind::Refused(reply) => reply.scope(self.stage),
            Kind::Timeout | Kind::Broken(_) | Kind::Unsupported(_) => Scope::Server,
            Kind::Unsendable(_) => Scope::Recipient,
        }
    }

    /// The cause for the operator's list, without an address and without the server's text.
    pub(super) fn cause(&self) -> String {
        let stage = self.stage;
        match (&self.kind, stage) {
            (Kind::Refused(reply), _) => format!("the mail server refused it: {} at {stage}", reply.codes()),
            (Kind::Timeout | Kind::Broken(_), Stage::Connect) => {
                "the mail server cannot be reached".to_owned()
            }
            (Kind::Timeout, _) => format!("the mail server did not answer in time: {stage}"),
            // The text of the TLS library, as why a certificate is not valid.
            (Kind::Broken(why), Stage::Tls | Stage::StartTls) => {
                format!("the mail server's TLS cannot be used: {why}")
            }
            (Kind::Broken(_), _) => format!("the connection to the mail server broke: {stage}"),
            (Kind::Unsupported(why), _) => why.clone(),
            (Kind::Unsendable(why), _) => (*why).to_owned(),
        }
    }

    /// The cause for the log, with the server's text but without addresses; `local` is the recipient's local part.
    pub(super) fn details(&self, local: &str) -> String {
        match &self.kind {
            Kind::Refused(reply) => reply.without_addresses(local),
            // The cause contains the text already.
            Kind::Broken(_) if matches!(self.stage, Stage::Tls | Stage::StartTls) => self.cause(),
            Kind::Broken(why) => format!("{}: {why}", self.cause()),
            _ => self.cause(),
        }
    }
}
