//! The name of this client in EHLO (RFC 5321, 4.1.4): servers refuse a name that is neither a fully qualified domain name nor an
//! address literal.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use lettre::transport::smtp::extension::ClientId;

/// A domain name, as A-labels, or an address literal such as `[192.0.2.7]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EhloName(String);

impl EhloName {
    /// The host's own name where it is fully qualified, else the literal of the connection's own address.
    pub(super) fn of_host(own: IpAddr) -> Self {
        match ClientId::default() {
            ClientId::Domain(name) if is_qualified(&name) => Self(name),
            _ => Self::literal(own),
        }
    }

    /// The name for lettre.
    pub(super) fn client_id(&self) -> ClientId {
        ClientId::Domain(self.0.clone())
    }

    fn literal(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(format!("[{address}]")),
            IpAddr::V6(address) => Self(format!("[IPv6:{address}]")),
        }
    }
}

impl FromStr for EhloName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(literal) => address(literal).map(Self::literal),
            None => idna::domain_to_ascii(text).ok().filter(|name| is_domain(name)).map(Self),
        };
        name.ok_or_else(|| {
            "a name such as mail.example.com, or an address such as [192.0.2.7], is expected".to_owned()
        })
    }
}

fn address(literal: &str) -> Option<IpAddr> {
    match literal.strip_prefix("IPv6:") {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => literal.parse().ok(),
    }
}

fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The name has more than one label, and the last one is not a number.
fn is_qualified(name: &str) -> bool {
    let last = name.rsplit_once('.').map(|(_, last)| last);
    is_domain(name) && last.is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_are_normalized() {
        for (text, normalized) in [
            ("mail.example.com", "mail.example.com"),
            ("shop.bücher.example", "shop.xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("[192.0.2.7]", "[192.0.2.7]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(text.parse(), Ok(EhloName(normalized.to_owned())), "{text}");
        }
        for text in ["", "shop_1.example", "-shop.example", "a b", "[192.0.2]", "shop..example", "a\r\nMAIL"]
        {
            assert!(text.parse::<EhloName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_without_a_qualified_name_uses_its_address() {
        assert!(is_qualified("mail.example.com"));
        for name in ["web-1", "shop_1.example", "10.0.0.1", "", "mail.example.com."] {
            assert!(!is_qualified(name), "{name}");
        }
        assert_eq!(EhloName::literal("192.0.2.7".parse().unwrap()).0, "[192.0.2.7]");
        assert_eq!(EhloName::literal("::ffff:192.0.2.7".parse().unwrap()).0, "[192.0.2.7]");
        assert_eq!(EhloName::literal("2001:db8::1".parse().unwrap()).0, "[IPv6:2001:db8::1]");
    }
}
