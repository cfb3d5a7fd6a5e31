//! Why a mail was not handed over.

use std::error::Error as _;

use lettre::transport::smtp::Error;

use super::refusal::{Fault, Reply, Stage};

/// A failure, and the stage at which it happened.
#[derive(Debug)]
pub(super) struct Trouble {
    pub stage: Stage,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The server refused.
    Refused(Reply),
    /// It did not answer in time.
    Silent,
    /// The connection could not be made, broke, or brought what is no SMTP.
    Broken(String),
    /// The server cannot do what our settings demand.
    Unfit(String),
    /// The server can never take this mail.
    Unsendable(&'static str),
}

impl Trouble {
    /// From lettre's error at `stage`.
    pub(super) fn new(stage: Stage, error: &Error) -> Self {
        let words = || error.source().map(ToString::to_string).unwrap_or_default();
        let kind = match error.status() {
            Some(code) => Kind::Refused(Reply { code: code.into(), words: words() }),
            None if error.is_client() => Kind::Unfit(words()),
            None => Kind::Broken(words()),
        };
        Self { stage, kind }
    }

    pub(super) fn silent(stage: Stage) -> Self {
        Self { stage, kind: Kind::Silent }
    }

    pub(super) fn broken(stage: Stage, why: &dyn ToString) -> Self {
        Self { stage, kind: Kind::Broken(why.to_string()) }
    }

    /// `why` is a sentence about the server.
    pub(super) fn unfit(stage: Stage, why: impl Into<String>) -> Self {
        Self { stage, kind: Kind::Unfit(why.into()) }
    }

    /// `why` is a sentence about the mail.
    pub(super) fn unsendable(why: &'static str) -> Self {
        Self { stage: Stage::Sender, kind: Kind::Unsendable(why) }
    }

    /// The server may have closed a connection that was not used for a while: worth a new one.
    pub(super) fn is_hang_up(&self) -> bool {
        match &self.kind {
            Kind::Refused(reply) => reply.code == 421,
            Kind::Broken(_) => true,
            Kind::Silent | Kind::Unfit(_) | Kind::Unsendable(_) => false,
        }
    }

    /// The server has said no, and waits for what comes next.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Refused(_))
    }

    /// Nothing was said of the mail yet: what the server announced is not enough for it.
    pub(super) fn is_before_the_mail(&self) -> bool {
        self.stage == Stage::Sender && matches!(self.kind, Kind::Unfit(_) | Kind::Unsendable(_))
    }

    /// Whose fault it is.
    pub(super) fn fault(&self) -> Fault {
        match &self.kind {
            Kind::Refused(reply) => reply.fault(self.stage),
            Kind::Silent | Kind::Broken(_) | Kind::Unfit(_) => Fault::Server,
            Kind::Unsendable(_) => Fault::Recipient,
        }
    }

    /// The cause as the operator's list shows it, without an address and without a word of the server's.
    pub(super) fn cause(&self) -> String {
        let stage = self.stage;
        match (&self.kind, stage) {
            (Kind::Refused(reply), _) => format!("the mail server refused it: {} at {stage}", reply.codes()),
            (Kind::Silent | Kind::Broken(_), Stage::Connect) => {
                "the mail server cannot be reached".to_owned()
            }
            (Kind::Silent, _) => format!("the mail server did not answer in time: {stage}"),
            // Words of our own TLS library: a certificate that is not valid, and why.
            (Kind::Broken(why), Stage::Tls | Stage::StartTls) => {
                format!("the mail server's TLS cannot be used: {why}")
            }
            (Kind::Broken(_), _) => format!("the connection to the mail server broke: {stage}"),
            (Kind::Unfit(why), _) => why.clone(),
            (Kind::Unsendable(why), _) => (*why).to_owned(),
        }
    }

    /// The cause as the alarm shows it, with the server's words but for addresses; `local` is the recipient's local part.
    pub(super) fn alarm(&self, local: &str) -> String {
        match &self.kind {
            Kind::Refused(reply) => reply.without_addresses(local),
            // The cause says why already.
            Kind::Broken(_) if matches!(self.stage, Stage::Tls | Stage::StartTls) => self.cause(),
            Kind::Broken(why) => format!("{}: {why}", self.cause()),
            _ => self.cause(),
        }
    }
}
