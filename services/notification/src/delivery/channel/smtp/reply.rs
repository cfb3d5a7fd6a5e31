//! The scope of a mail server's refusal, decided by the stage and the reply alone.

use strum::Display;

/// The stages of the dialogue with a mail server, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display)]
#[strum(serialize_all = "UPPERCASE")]
pub(super) enum Stage {
    #[strum(to_string = "connecting")]
    Connect,
    /// TLS from the first byte (`smtps`).
    Tls,
    #[strum(to_string = "the greeting")]
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    #[strum(to_string = "MAIL FROM")]
    Sender,
    #[strum(to_string = "RCPT TO")]
    Recipient,
    Data,
    /// The answer to the whole mail, after the final dot.
    #[strum(to_string = "the end of the mail")]
    Content,
}

/// The scope of a failure, which decides what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The recipient, who does not exist: final.
    Recipient,
    /// The recipient's mailbox, which takes nothing now, as when it is full: retried for about five days.
    Mailbox,
    /// A problem here or at the server, seen with this mail: the mail waits for its repair. When the next mail fails too, the problem
    /// concerns all mails.
    Mail,
    /// A problem here or at the server that concerns every mail: all wait for its repair.
    Server,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    /// The server's text, which may hold addresses.
    pub text: String,
}

/// The beginnings of words that name policy, not the mailbox, as the reason of a reply without an enhanced code.
const POLICY: &str = "\
    abuse access authent authoriz banned black block client denied dkim dmarc dns encrypt ip limit \
    listed login password permi policy prohibit quota rate rbl rcpthosts relay reputation sender spam \
    spf suspicious tls volume";

impl Reply {
    /// Returns the scope of a refusal at `stage`. Only a refusal of the recipient itself is final: an address status (RFC 3463, X.1.Z) at
    /// RCPT, or a bare 550, 551 or 553 there that does not name policy as its reason.
    pub(super) fn scope(&self, stage: Stage) -> Scope {
        match stage {
            // The server is closing (RFC 5321, 3.8), or has too many connections.
            _ if self.code == 421 => Scope::Server,
            Stage::Recipient => self.scope_at_recipient(),
            Stage::Sender | Stage::Data | Stage::Content => Scope::Mail,
            _ => Scope::Server,
        }
    }

    fn scope_at_recipient(&self) -> Scope {
        let permanent = self.code >= 500;
        match (self.code, self.enhanced()) {
            // The sender's address (X.1.7, X.1.8).
            (_, Some((1, 7 | 8))) => Scope::Mail,
            (_, Some((1, _))) if permanent => Scope::Recipient,
            // A disabled or full mailbox (X.2.Z) may change, even where the server calls it permanent.
            (_, Some((1 | 2, _))) | (450 | 552, None) => Scope::Mailbox,
            (550 | 551 | 553, None) if !self.names_policy() => Scope::Recipient,
            // Relaying, policy (X.7.Z), quota (X.4.5), a problem of the server.
            _ => Scope::Mail,
        }
    }

    /// Subject and detail of the enhanced status code (RFC 3463) at the beginning of the text, as of `5.1.1`.
    fn enhanced(&self) -> Option<(u16, u16)> {
        let (class, status) = self.text.split_whitespace().next()?.split_once('.')?;
        let (subject, detail) = status.split_once('.')?;
        let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() <= 3);
        number(class).zip(number(subject).zip(number(detail))).map(|(_, status)| status)
    }

    fn names_policy(&self) -> bool {
        let words = self.text.split_whitespace().filter(|word| !word.contains('@'));
        let words = words.flat_map(|word| word.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
        let mut words = words.filter(|word| !word.is_empty());
        words.any(|word| POLICY.split(' ').any(|policy| word.starts_with(policy)))
    }

    /// The reply code and the enhanced code, as `553 5.7.1`, without the server's text.
    pub(super) fn codes(&self) -> String {
        match self.enhanced() {
            Some(_) => {
                let enhanced = self.text.split_whitespace().next().unwrap_or_default();
                format!("{} {enhanced}", self.code)
            }
            None => self.code.to_string(),
        }
    }

    /// The code and the text for the log: without addresses and the recipient's local part, at most 200 characters.
    pub(super) fn without_addresses(&self, local: &str) -> String {
        let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let shown = |word: &'_ str| {
            let personal = word.contains('@') || bare(word) == bare(local);
            if personal { "…".to_owned() } else { word.to_owned() }
        };
        let words: Vec<String> = self.text.split_whitespace().map(shown).collect();
        format!("{} {}", self.code, words.join(" ")).chars().take(200).collect()
    }
}

impl Stage {
    /// Returns what an operator should check when the server refuses here.
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::Connect => "check that the server of SMTP_URL runs and can be reached from here",
            Self::Tls | Self::StartTls => "check tls in SMTP_URL, and the server's certificate",
            Self::Greeting => "check whether this machine's address is on a block list, and SMTP_CONNECTIONS",
            Self::Ehlo => "check SMTP_HELLO_NAME",
            Self::Auth => "check user and password in SMTP_URL",
            Self::Sender => "check MAIL_FROM: whether the account of SMTP_URL may send as it",
            Self::Recipient => "check whether the server relays for this machine or the account of SMTP_URL",
            Self::Data | Self::Content => {
                "check the account's quota, and the server's policy (SPF, DKIM, content)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let (code, text) = text.split_once(' ').unwrap_or((text, ""));
        Reply { code: code.parse().unwrap(), text: text.to_owned() }
    }

    #[test]
    fn only_a_refusal_of_the_recipient_itself_is_final() {
        use Scope::{Mail, Mailbox, Recipient, Server};
        use Stage as At;
        for (stage, text, scope) in [
            // Before any mail.
            (
                At::Greeting,
                "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.example",
                Server,
            ),
            (At::Greeting, "554 no SMTP service here", Server),
            (At::Greeting, "421 4.7.0 too many connections", Server),
            (At::Ehlo, "504 5.5.2 <web-1>: Helo command rejected: need fully-qualified hostname", Server),
            (At::Ehlo, "550 5.1.1 odd", Server),
            (At::StartTls, "454 4.7.0 TLS not available due to local problem", Server),
            (At::Auth, "535 5.7.8 authentication failed", Server),
            // The sender.
            (At::Sender, "553 5.7.1 <shop@example.com>: Sender address rejected: not owned by user", Mail),
            (At::Sender, "550 5.1.0 <shop@example.com> sender rejected", Mail),
            (At::Sender, "530 5.7.0 Must issue a STARTTLS command first", Mail),
            (At::Sender, "550", Mail),
            (At::Sender, "421 4.4.2 closing", Server),
            // The recipient itself.
            (
                At::Recipient,
                "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown",
                Recipient,
            ),
            (At::Recipient, "501 5.1.3 Bad recipient address syntax", Recipient),
            (At::Recipient, "550 5.1.2 Host unknown", Recipient),
            (At::Recipient, "556 5.1.10 <ada@example.com> Recipient address has null MX", Recipient),
            (At::Recipient, "550", Recipient),
            (At::Recipient, "550 Mailbox unavailable", Recipient),
            (At::Recipient, "550 <relay@spam.example>: no such user here", Recipient),
            (At::Recipient, "551 User not local", Recipient),
            (At::Recipient, "553 Requested action not taken: mailbox name not allowed", Recipient),
            // Its mailbox, for now.
            (At::Recipient, "450 4.2.1 mailbox temporarily disabled", Mailbox),
            (At::Recipient, "452 4.2.2 The email account is over quota", Mailbox),
            (At::Recipient, "552 5.2.2 mailbox full", Mailbox),
            (At::Recipient, "550 5.2.1 mailbox disabled", Mailbox),
            (At::Recipient, "552 Exceeded storage allocation", Mailbox),
            (At::Recipient, "450 Requested mail action not taken: mailbox unavailable", Mailbox),
            (At::Recipient, "450 4.1.1 unverified address", Mailbox),
            // A problem here, seen at the recipient.
            (At::Recipient, "554 5.7.1 <ada@example.com>: Relay access denied", Mail),
            (At::Recipient, "554 <ada@example.com>: Relay access denied", Mail),
            (At::Recipient, "550 relaying denied", Mail),
            (At::Recipient, "550 5.7.1 Unable to relay", Mail),
            (At::Recipient, "553 sorry, that domain isn't in my list of allowed rcpthosts", Mail),
            (At::Recipient, "550 Access denied", Mail),
            (At::Recipient, "550 IP address on blocklists", Mail),
            (At::Recipient, "550 5.4.5 Daily sending quota exceeded", Mail),
            (At::Recipient, "550 5.1.8 Sender address rejected: Domain not found", Mail),
            (At::Recipient, "553 5.1.7 bad sender address", Mail),
            (At::Recipient, "451 4.7.1 Greylisting in action, please come back later", Mail),
            (At::Recipient, "452 4.3.1 Insufficient system storage", Mail),
            (At::Recipient, "451 Requested action aborted: local error in processing", Mail),
            (At::Recipient, "421 Service not available", Server),
            // The whole mail.
            (At::Data, "554 no valid recipients", Mail),
            (At::Content, "550 5.4.5 Daily sending quota exceeded", Mail),
            (At::Content, "554 5.7.1 Message rejected as spam", Mail),
            (At::Content, "552 5.3.4 Message too big", Mail),
            (At::Content, "550 5.1.1 odd", Mail),
            (At::Content, "451", Mail),
            (At::Content, "421 4.3.2 shutting down", Server),
        ] {
            assert_eq!(reply(text).scope(stage), scope, "{stage}: {text}");
        }
    }

    #[test]
    fn a_cause_holds_only_the_codes_of_a_reply() {
        assert_eq!(reply("550 5.1.1 <ada@example.com>: no such user").codes(), "550 5.1.1");
        for bare in ["550 user ada@example.com unknown", "550 5.1.x", "550"] {
            assert_eq!(reply(bare).codes(), "550");
        }
    }

    #[test]
    fn a_log_shows_the_text_without_addresses() {
        let logged = reply("550 5.7.1 <Ada.L@example.com>: \"ada.l\" may not, says postmaster@example.com");
        assert_eq!(logged.without_addresses("ada.l"), "550 5.7.1 … … may not, says …");
        assert_eq!(reply(&format!("550 {}", "x".repeat(5000))).without_addresses("ada").chars().count(), 200);
    }
}
