//! An e-mail address, with the one normalisation of the system.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress as Syntax, Options};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Invalid;

/// An e-mail address (RFC 5321), in lower case, so that it compares case-insensitively everywhere.
///
/// It is personal data: `Debug` and [`masked`](Self::masked) hide it, and nothing else prints it by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.com")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address itself, for a database or a mail server.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What logs and lists may show: `a***@example.com`.
    pub fn masked(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((local, domain)) => format!("{}***@{domain}", local.chars().next().unwrap_or('*')),
            None => "***".to_owned(),
        }
    }
}

impl FromStr for EmailAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // A local part of more than RFC 5321's 64 octets is a mail server's own affair.
        let options =
            Options::default().without_display_text().without_domain_literal().with_long_local_parts();
        // First lower case, then the rules: a lower-case letter can be longer than its capital, and what is read here
        // must be readable everywhere.
        let text = text.to_lowercase();
        let sound = text.len() <= 254
            && !text.contains(char::is_control)
            && Syntax::parse_with_options(&text, options).is_ok();
        sound.then_some(Self(text)).ok_or(Invalid("must be an e-mail address of at most 254 characters"))
    }
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
mod tests {
    use super::*;

    #[test]
    fn compares_case_insensitively_and_never_prints_itself() {
        let address: EmailAddress = "Ada.Lovelace@Example.COM".parse().unwrap();
        assert_eq!(address, "ada.lovelace@example.com".parse().unwrap());
        assert_eq!(format!("{address:?}"), "a***@example.com");
    }

    #[test]
    fn what_was_read_once_is_read_again() {
        let long = format!("{}@example.com", "\u{130}".repeat(120));
        assert!(
            long.chars().count() < 254 && long.parse::<EmailAddress>().is_err(),
            "its lower case is too long"
        );
        let address: EmailAddress = "\u{130}@EXAMPLE.com".parse().unwrap();
        assert_eq!(address.expose().parse(), Ok(address.clone()));
    }

    #[test]
    fn refuses_what_is_no_address() {
        let of_length = |length: usize| format!("{}@example.com", "a".repeat(length - "@example.com".len()));
        assert!(of_length(254).parse::<EmailAddress>().is_ok());
        let long = of_length(255);
        let spaced = of_length(200).replacen("aaa", "a a", 1);
        let holed = of_length(200).replacen("aaa", "a..", 1);
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "Ada <ada@example.com>",
            "a@b\r\nBcc: c@d.e",
            "a\0@b.c",
            &long,
            &spaced,
            &holed,
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad:?}");
        }
    }
}
