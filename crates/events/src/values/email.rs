//! An e-mail address in canonical form: the one place of the system that decides whether two spellings are one address.

mod local;

use std::fmt;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::given::Invalid;
use super::visible;

/// The longest canonical form, in bytes: RFC 5321's limit of a path without its angle brackets.
const LONGEST: usize = 254;
/// The longest spelling that is parsed, in bytes: decomposed or escaped characters make it longer than the canonical
/// form.
const LONGEST_SPELLING: usize = 1024;

const NO_ADDRESS: Invalid = Invalid("must be an e-mail address of at most 254 characters");
const UNSEEN: Invalid = Invalid(
    "must be an e-mail address without control characters, characters that cannot be seen (such as a zero-width space) \
     and characters that Unicode does not define; type it instead of pasting it",
);
const NO_DOMAIN: Invalid = Invalid(
    "must be an e-mail address whose domain is a name of letters, digits and hyphens, or a valid internationalised one",
);

/// An e-mail address (RFC 5321, RFC 6531) in canonical form, so that each address has one spelling everywhere.
///
/// - **Local part**: NFC, case-folded, quoted only where quotes are required (`"ada"@…` is `ada@…`).
/// - **Domain**: its A-labels by UTS 46 (non-transitional processing, IDNA 2008 validity, STD3 rules), without the
///   root's dot; `bücher.example` is `xn--bcher-kva.example`. The A-label is stored, compared and mailed: every mail
///   server and every database accepts it, its comparison does not depend on a version of Unicode, and it cannot be
///   confused with a name that looks alike.
///
/// At most 254 octets. The canonical form parses to itself. An address is personal data: `Debug` and
/// [`masked`](Self::masked) hide it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.com")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The whole address, for a database or a mail server.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The address as logs and lists may show it: `a***@example.com`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.parts();
        format!("{}***@{domain}", local.chars().next().unwrap_or('*'))
    }

    /// The address without the `+suffix` of its local part, for limits per mailbox: most servers deliver `ada+x@…` to
    /// `ada@…`. Not every server does, so this form is not for mailing or for comparing people.
    #[must_use]
    pub fn mailbox(&self) -> Self {
        let (local, domain) = self.parts();
        Self(format!("{}@{domain}", local::without_suffix(local)))
    }

    /// Parses an address that an earlier version wrote. Invisible characters, which were accepted then, are removed.
    pub fn from_older(text: &str) -> Result<Self, Invalid> {
        let unseen = |c: &char| escape::is_invisible(*c) || visible::is_foreign_space(*c);
        text.parse().or_else(|_| text.chars().filter(|c| !unseen(c)).collect::<String>().parse())
    }

    /// Applies [`from_older`](Self::from_older) to a field of an event: `#[serde(deserialize_with = "…")]`.
    pub(crate) fn deserialize_older<'de, D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Self::from_older(&String::deserialize(reader)?).map_err(serde::de::Error::custom)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or_default()
    }
}

impl FromStr for EmailAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() > LONGEST_SPELLING {
            return Err(NO_ADDRESS);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(NO_ADDRESS)?;
        // In a domain, UTS 46 checks joiners by their context.
        if local.chars().any(is_refused) || domain.chars().any(|c| is_refused(c) && !visible::is_joiner(c)) {
            return Err(UNSEEN);
        }
        let canonical = format!("{}@{}", local::canonical(local).ok_or(NO_ADDRESS)?, a_labels(domain)?);
        if canonical.len() <= LONGEST { Ok(Self(canonical)) } else { Err(NO_ADDRESS) }
    }
}

fn is_refused(c: char) -> bool {
    c.is_control() || escape::is_invisible(c) || visible::is_foreign_space(c) || visible::is_undefined(c)
}

/// Converts a domain to its A-labels. Hyphens in the third and fourth place are allowed: such names are registered and
/// receive mail.
fn a_labels(domain: &str) -> Result<String, Invalid> {
    let (hyphens, length) = (Hyphens::CheckFirstLast, DnsLength::VerifyAllowRootDot);
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, hyphens, length);
    let ascii = ascii.map_err(|_| NO_DOMAIN)?;
    Ok(ascii.strip_suffix('.').unwrap_or(&ascii).to_owned())
}

impl TryFrom<String> for EmailAddress {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests;
