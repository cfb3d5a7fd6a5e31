//! Hops of a forwarding header, such as `198.51.100.1:5000`, `"[2001:db8::1]:5000"`, `fe80::1%eth0`, `unknown` and
//! `_gazonk`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// The longest hop that is read, in bytes: longer than any address with a port and a zone, or sensible pseudonym.
const LONGEST: usize = 128;

/// A client or proxy as the next proxy names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hop {
    Address(IpAddr),
    /// A name that the proxy made up and keeps using (RFC 7239, section 6.3).
    Pseudonym(String),
    /// A value that names no client.
    Unreadable(Shape),
}

/// The reason why a hop names no client. Logged instead of the value, which may be a person's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Shape {
    /// `unknown`: the proxy hides its client.
    Unknown,
    /// A `Forwarded` element without `for=`.
    NoFor,
    /// Longer than any address.
    TooLong,
    /// Characters that are not allowed in a header.
    NotText,
    /// Any other value that is not an address.
    NoAddress,
}

/// Returns the header that names the hops of a request, and the hops, the nearest one first.
///
/// Lists are read from the right, where the trusted proxies wrote: a quote that a client leaves open must not swallow
/// the values that a proxy appends to the same line.
pub(super) fn hops(headers: &HeaderMap) -> Option<(&'static str, Vec<Hop>)> {
    if headers.contains_key(FORWARDED_FOR) {
        Some((FORWARDED_FOR, read(headers, FORWARDED_FOR, |list| list.rsplit(',').collect(), node)))
    } else if headers.contains_key(FORWARDED) {
        Some((FORWARDED, read(headers, FORWARDED, |list| split(list, b','), element)))
    } else {
        None
    }
}

/// Reads the hops of all lines of a header. Empty elements are ignored (RFC 9110, section 5.6.1).
fn read(headers: &HeaderMap, name: &str, parts: fn(&str) -> Vec<&str>, one: fn(&str) -> Hop) -> Vec<Hop> {
    let lists = headers.get_all(name).iter().rev();
    let hops = lists.flat_map(|list| match list.to_str() {
        Ok(list) => parts(list).into_iter().filter(|part| !part.trim().is_empty()).map(one).collect(),
        Err(_) => vec![Hop::Unreadable(Shape::NotText)],
    });
    hops.collect()
}

/// Splits `text` at each unquoted `at`, an ASCII character, and returns the parts from the last to the first.
fn split(text: &str, at: u8) -> Vec<&str> {
    let (bytes, mut parts, mut end, mut quoted) = (text.as_bytes(), Vec::new(), text.len(), false);
    let is_escaped = |index: usize| {
        let before = bytes[..index].iter().rev();
        before.take_while(|&&byte| byte == b'\\').count() % 2 == 1
    };
    for (index, &byte) in bytes.iter().enumerate().rev() {
        if byte == b'"' && !is_escaped(index) {
            quoted = !quoted;
        } else if byte == at && !quoted {
            parts.push(&text[index + 1..end]);
            end = index;
        }
    }
    parts.push(&text[..end]);
    parts
}

/// Reads an element of `Forwarded`, such as `for=192.0.2.60;proto=http;by=203.0.113.43`.
fn element(text: &str) -> Hop {
    let mut pairs = split(text, b';').into_iter().filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    found.map_or(Hop::Unreadable(Shape::NoFor), |(_, value)| node(value))
}

/// Reads a node, quoted or not, with or without a port.
fn node(text: &str) -> Hop {
    let text = text.trim();
    if text.len() > LONGEST {
        return Hop::Unreadable(Shape::TooLong);
    }
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = quoted.map_or_else(|| text.to_owned(), |inner| inner.replace('\\', ""));
    let text = text.trim();
    if let Some(address) = address(text) {
        return Hop::Address(address.to_canonical());
    }
    let name = text.rsplit_once(':').filter(|(_, end)| is_port(end)).map_or(text, |(name, _)| name);
    if name.eq_ignore_ascii_case("unknown") {
        Hop::Unreadable(Shape::Unknown)
    } else if name.strip_prefix('_').is_some_and(is_token) {
        Hop::Pseudonym(name.to_owned())
    } else {
        Hop::Unreadable(Shape::NoAddress)
    }
}

fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, end) = rest.split_once(']')?;
        let ends = end.is_empty() || end.strip_prefix(':').is_some_and(is_port);
        return v6(inside).filter(|_| ends).map(IpAddr::V6);
    }
    let v4 = || {
        let host = text.split_once(':').filter(|(_, port)| is_port(port)).map_or(text, |(host, _)| host);
        host.parse::<Ipv4Addr>().ok()
    };
    // Without brackets a port cannot be distinguished from an IPv6 address: all of the text is the address.
    v4().map(IpAddr::V4).or_else(|| v6(text).map(IpAddr::V6))
}

/// Reads an IPv6 address. Its zone is dropped, as it has a meaning only on the proxy's own machine.
fn v6(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
    address.parse().ok().filter(|_| !zone.is_empty())
}

/// Whether `text` is a port, or an obfuscated port (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    !text.is_empty() && (digits || text.strip_prefix('_').is_some_and(is_token))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
